"""National language shift tables (3GPP TS 23.038 annex A) that phones in the field use, for decoding alone.

The keys are the national language identifiers of 23.038 section 6.2.1.2.4.
"""

from collections.abc import Mapping

from otpbroker.sms.gsm7 import BASIC, EXTENSION

TURKISH, SPANISH, PORTUGUESE = 1, 2, 3


_DOTLESS_I = "\u0131"


def _places(table: str) -> dict[int, str]:
    """`04€ 0BĞ`: each word is a septet in hexadecimal and its character."""
    return {int(word[:2], 16): word[2:] for word in table.split()}


def _locking(changes: str) -> str:
    """The default alphabet with some places taken by other characters."""
    places = _places(changes)
    return "".join(places.get(septet, character) for septet, character in enumerate(BASIC))


# Annex A.3; Spanish has a single shift table only.
LOCKING_SHIFT: Mapping[int, str] = {
    TURKISH: _locking(f"04€ 07{_DOTLESS_I} 0BĞ 0Cğ 1CŞ 1Dş 40İ 60ç"),
    PORTUGUESE: _locking(
        "04ê 06ú 07í 08ó 09ç 0BÔ 0Cô 0EÁ 0Fá 12ª 13Ç 14À 15∞ 16^ 17\\ 18€ 19Ó 1A| 1CÂ 1Dâ 1EÊ 24º 40Í"
        " 5BÃ 5CÕ 5DÚ 60~ 7Bã 7Cõ 7D`"
    ),
}

# Annex A.2: each is the default extension table with letters added.
SINGLE_SHIFT: Mapping[int, Mapping[int, str]] = {
    TURKISH: EXTENSION | _places(f"47Ğ 49İ 53Ş 63ç 67ğ 69{_DOTLESS_I} 73ş"),
    SPANISH: EXTENSION | _places("09ç 41Á 49Í 4FÓ 55Ú 61á 69í 6Fó 75ú"),
    PORTUGUESE: EXTENSION
    | _places(
        "05ê 09ç 0BÔ 0Cô 0EÁ 0Fá 12Φ 13Γ 15Ω 16Π 17Ψ 18Σ 19Θ 1FÊ 41À 49Í 4FÓ 55Ú 5BÃ 5CÕ 61Â 69í 6Fó 75ú"
        " 7Bã 7Cõ 7Fâ"
    ),
}
