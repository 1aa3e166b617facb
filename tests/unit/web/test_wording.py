"""The words for what befalls modems."""

import pytest

from otpbroker.events import Fault, Incident, RecoveryStep
from otpbroker.modem import health
from otpbroker.web import wording
from otpbroker.web.language import speak


@pytest.mark.parametrize(
    ("incident", "english", "indonesian"),
    [
        (
            Incident(0.0, Fault.DEAF),
            "did not answer at all; not over yet",
            "sama sekali tidak menjawab; belum selesai",
        ),
        (
            Incident(0.0, Fault.SILENT, (), None, 3.0),
            "did not answer; pulled out after 3.0 s",
            "tidak menjawab; dicabut setelah 3.0 dtk",
        ),
        (
            Incident(0.0, Fault.RESTARTED, (), RecoveryStep.REOPEN, 123.4),
            "restarted by itself; back after 123 s by opening its port anew",
            "memulai ulang sendiri; pulih setelah 123 dtk dengan membuka ulang port-nya",
        ),
    ],
)
async def test_an_incident_is_told_in_words(incident: Incident, english: str, indonesian: str) -> None:
    assert wording.incident(incident) == english
    speak("id")
    assert wording.incident(incident) == indonesian


async def test_every_fault_step_and_detail_of_a_modem_has_words() -> None:
    assert set(wording.FAULTS) == set(Fault)
    assert set(wording.STEPS) == set(RecoveryStep)
    speak("id")
    for detail in (*health.WORDS.values(), health.RESTS, health.GIVEN_UP):
        assert wording.trouble(detail) != detail
    assert wording.note(health.BROWNOUT_NOTE) != wording.NOTES[health.BROWNOUT_NOTE]
    assert wording.note("unlisted") == "unlisted"
