"""Catalogues and the words chosen from them."""

import pytest

from otpbroker.web import wording
from otpbroker.web.language import Catalogue, gettext, parse_po, speak, spoken
from virtual_time import NOON, time_zone

PO = r"""
# A comment.
msgid ""
msgstr "Language: id\n"

msgid "Ready"
msgstr "Siap"

msgid "long "
"\"one\""
msgstr ""
"panjang "
"\"satu\""

msgid "not yet"
msgstr ""

msgid "%(num)s day"
msgid_plural "%(num)s days"
msgstr[0] "%(num)s hari"
"""


def test_a_po_file_is_read() -> None:
    assert parse_po(PO) == {
        "Ready": ("Siap",),
        'long "one"': ('panjang "satu"',),
        "%(num)s day": ("%(num)s hari",),
    }


def test_missing_messages_show_in_english() -> None:
    catalogue = Catalogue(parse_po(PO))
    assert catalogue.gettext("Ready") == "Siap"
    assert catalogue.gettext("not yet") == "not yet"
    assert [catalogue.ngettext("%(num)s day", "%(num)s days", n) for n in (1, 2)] == ["%(num)s hari"] * 2
    assert [catalogue.ngettext("one", "many", n) for n in (0, 1, 2)] == ["many", "one", "many"]


async def test_a_task_speaks_one_language() -> None:
    assert spoken() == "en"
    speak("id")
    assert gettext("Ready") == "Siap"
    assert gettext("Signal: %(strength)s", strength="x") == "Sinyal: x"


@pytest.mark.parametrize(
    ("seconds", "english", "indonesian"),
    [
        (-5, "just now", "baru saja"),
        (9.9, "just now", "baru saja"),
        (10, "10 seconds ago", "10 detik yang lalu"),
        (60, "1 minute ago", "1 menit yang lalu"),
        (3599, "59 minutes ago", "59 menit yang lalu"),
        (7200, "2 hours ago", "2 jam yang lalu"),
        (86400, "1 day ago", "1 hari yang lalu"),
        (200000, "2 days ago", "2 hari yang lalu"),
    ],
)
async def test_how_long_ago(seconds: float, english: str, indonesian: str) -> None:
    assert wording.ago(seconds) == english
    speak("id")
    assert wording.ago(seconds) == indonesian


@pytest.mark.parametrize(
    ("seconds", "shown"), [(58, "15:00:58"), (9 * 3600 - 1, "23:59:59"), (9 * 3600, "2027-01-16 00:00")]
)
async def test_when_a_modem_sends_again_is_told_by_the_clock_of_the_device(seconds: float, shown: str) -> None:
    with time_zone("WIB-7"):
        assert wording.again(NOON + seconds, NOON) == f"It sends again at {shown}."
        speak("id")
        assert wording.again(NOON + seconds, NOON) == f"Modem ini mengirim lagi pada {shown}."


@pytest.mark.parametrize(
    ("dbm", "bars"), [(-113, 0), (-105, 1), (-96, 1), (-95, 2), (-85, 3), (-76, 3), (-75, 4), (-51, 4)]
)
def test_signal_bars(dbm: int, bars: int) -> None:
    assert wording.bars(dbm) == bars


async def test_a_modems_trouble_is_told_in_the_readers_language() -> None:
    detail = "/dev/ttyUSB0 is not there (plug the modem in)"
    assert wording.trouble(detail) == detail
    speak("id")
    assert wording.trouble(detail) == "/dev/ttyUSB0 tidak ada (pasang modemnya)"
    assert wording.trouble("the SIM is not ready yet") == "SIM belum siap"
    for unknown in ("", "AT timed out (odd) (remedy)", "100 % %(x)s"):
        assert wording.trouble(unknown) == unknown


def test_an_error_without_words_of_its_own_shows_its_detail_or_code() -> None:
    assert wording.error("no-modem", "No device connected").startswith("No modem is ready.")
    assert wording.error("odd-end", "it ended oddly") == "it ended oddly"
    assert wording.error("odd-end") == "odd-end"
    assert wording.error(None) == ""
    assert wording.error("cms-38") == "The modem or the network refused it (+CMS ERROR 38)."
