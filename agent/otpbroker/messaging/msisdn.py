"""The normal form of a receiver: international digits without `+` (ITU-T E.164)."""

import re
from functools import cache

from otpbroker.errors import Rejected

_DECORATION = re.compile(r"[\s().\-/\u2010-\u2015\u00a0]+")
_LONGEST = 15  # E.164 section 6.2.1
_SHORTEST = 3  # an operator's service number


def normalise(number: str, country_code: str) -> str:
    """`0812..`, `+62 812-..`, `62812..` and `0062812..` all become `62812..` for country code 62.

    A number without `+`, `00` or a national trunk prefix is international, as existing clients write it; they
    also write `+0812..`, which is national: no country code begins with a zero (ITU-T E.164 section 6).
    Raises `Rejected` (field `receiver`) for letters, too few or too many digits.
    """
    written = number.strip()
    if written.startswith(("+", "00")):
        written = written.replace("(0)", "")  # +62 (0)812: the trunk zero is not dialled from abroad
    digits = _DECORATION.sub("", written).removeprefix("+")
    international = digits.startswith("00")
    digits = digits.removeprefix("00")
    if not digits:
        raise Rejected("receiver-missing", "the receiver's number is missing", field="receiver")
    if not (digits.isascii() and digits.isdigit()):
        raise Rejected(
            "receiver-invalid",
            "the receiver's number has characters that are not digits",
            field="receiver",
            remedy="write it as +628123456789, 628123456789 or 08123456789",
        )
    if digits.startswith("0"):
        if international:
            raise Rejected("receiver-invalid", "no country code begins with a zero", field="receiver")
        digits = _national(digits, country_code)
    elif digits.startswith(f"{country_code}0"):  # 62 0812..: the national form after the country code
        digits = _national(digits.removeprefix(country_code), country_code)
    if not _SHORTEST <= len(digits) <= _LONGEST:
        raise Rejected(
            "receiver-invalid",
            f"a number has {_SHORTEST} to {_LONGEST} digits, this one has {len(digits)}",
            field="receiver",
        )
    return digits


def prefix(digits: str, country_code: str) -> str:
    """A routing prefix in normal form: `0871` -> `62871` for country code 62."""
    if digits.startswith("00"):
        return digits[2:]
    if digits.startswith(f"{country_code}0"):
        digits = digits.removeprefix(country_code)
    if not digits.startswith("0"):
        return digits
    return country_code + _without_trunk_prefix(digits, country_code)


def _national(digits: str, country_code: str) -> str:
    """A number in national form, by the country's own rule for its trunk prefix.

    The library knows countries that keep the zero (Italy); ranges which it does not know are never refused.
    """
    import phonenumbers  # noqa: PLC0415 # 0.8 MiB of tables: only for who writes national numbers

    region = _region(country_code)
    if region is not None:
        try:
            parsed = phonenumbers.parse(digits, region)
        except phonenumbers.NumberParseException:
            pass
        else:
            if parsed.country_code == int(country_code) and phonenumbers.is_valid_number(parsed):
                return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    return country_code + _without_trunk_prefix(digits, country_code)


def _without_trunk_prefix(digits: str, country_code: str) -> str:
    """What of a national number is dialled from abroad: of 0812 812, of 0620 in Hungary 20, in Italy all."""
    import phonenumbers  # noqa: PLC0415 # see above

    region = _region(country_code)
    rules = phonenumbers.PhoneMetadata.metadata_for_region(region) if region is not None else None
    if rules is None:
        return digits[1:]
    return digits.removeprefix(rules.national_prefix or "")


@cache
def _region(country_code: str) -> str | None:
    import phonenumbers  # noqa: PLC0415 # see above

    region = phonenumbers.region_code_for_country_code(int(country_code))
    return None if region in {"ZZ", "001"} else region
