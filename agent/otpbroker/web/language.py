"""The site's languages: catalogues in gettext's `.po` format, read as they are.

English is the language of the message ids and needs no catalogue.
"""

import ast
import gettext as _gettext
from contextvars import ContextVar
from importlib.resources import files
from typing import Final

LANGUAGES: Final = {"en": "English", "id": "Bahasa Indonesia"}


class Catalogue(_gettext.NullTranslations):
    """Translations by message id; a message that is missing shows in English."""

    def __init__(self, messages: dict[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.messages = messages

    def gettext(self, message: str) -> str:
        return self.messages.get(message, (message,))[0]

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """Indonesian has one form, English two; both follow from the number of forms in the catalogue."""
        forms = self.messages.get(msgid1, (msgid1, msgid2))
        return forms[min(int(n != 1), len(forms) - 1)]


def parse_po(text: str) -> dict[str, tuple[str, ...]]:
    """Message id -> its translated forms; untranslated entries and the header are left out."""
    messages: dict[str, tuple[str, ...]] = {}
    for block in text.split("\n\n"):
        entry: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            if line.startswith("msg"):
                key, _, line = line.partition(" ")  # noqa: PLW2901 # the rest of the line is its string
            if line.startswith('"'):
                entry[key] = entry.get(key, "") + ast.literal_eval(line)
        forms = tuple(form for name, form in entry.items() if name.startswith("msgstr"))
        if entry.get("msgid") and all(forms):
            messages[entry["msgid"]] = forms
    return messages


def _load(language: str) -> Catalogue:
    source = files("otpbroker.web") / "locale" / language / "LC_MESSAGES" / "admin.po"
    return Catalogue(parse_po(source.read_text("utf-8")) if source.is_file() else {})


_CATALOGUES = {language: _load(language) for language in LANGUAGES}
_language: ContextVar[str] = ContextVar("language", default="en")


def speak(language: str) -> None:
    """Use this language for the rest of the current task (a request, a stream)."""
    _language.set(language)


def spoken() -> str:
    """The current task's language."""
    return _language.get()


def gettext(message: str, **variables: object) -> str:
    """The message in the current language, `%(name)s` filled in."""
    translated = _CATALOGUES[_language.get()].gettext(message)
    return translated % variables if variables else translated


def ngettext(singular: str, plural: str, n: int) -> str:
    """The form for `n`, with `%(num)s` not yet filled in: Jinja's extension does that."""
    return _CATALOGUES[_language.get()].ngettext(singular, plural, n)


def gettext_noop(message: str) -> str:
    """Mark a message for the catalogues where it is only named; it is translated where it is shown."""
    return message
