"""Reading the information lines of answers: pure, tolerant of quotes and blanks, None for what is not there."""

import re
from collections.abc import Sequence

_USSD = re.compile(r"\+CUSD: ?(\d+)\s*(?:,\s*\"?(.*?)\"?\s*(?:,\s*(\d*)\s*)?)?", re.DOTALL)
_VALUE = re.compile(r"\s*(?:\"([^\"]*)\"|([^,]*))\s*(?:,|$)")


def fields(line: str) -> tuple[str, ...]:
    """`+COPS: 0,0,"XL",7` -> `("0", "0", "XL", "7")`: what stands behind the code, quotes taken off."""
    values = line.partition(":")[2].strip()
    found: list[str] = []
    position = 0
    while position < len(values):
        match = _VALUE.match(values, position)
        if match is None:
            break
        found.append(match[2].strip() if match[1] is None else match[1])
        position = match.end()
    return tuple(found)


def value(lines: Sequence[str]) -> str:
    """The one value of an answer such as +CGMI's, with or without code and quotes; "" if there is none."""
    if not lines:
        return ""
    line = lines[0]
    if re.match(r"[+^*$#%&][A-Z]+ ?:", line):
        line = line.partition(":")[2]
    return line.strip().strip('"')


def digits(lines: Sequence[str], least: int) -> str:
    """The first run of at least `least` digits: an IMEI, IMSI or ICCID however it is written."""
    for line in lines:
        if found := re.search(rf"\d{{{least},}}", line):
            return found.group()
    return ""


def number(lines: Sequence[str], code: str) -> int | None:
    """The first field of the line that begins with `code`, as a number."""
    for line in lines:
        if line.startswith(code) and (found := re.match(r"\s*(\d+)", line[len(code) :])):
            return int(found[1])
    return None


def signal_dbm(line: str) -> int | None:
    """`<rssi>` of +CSQ and ^RSSI in dBm (27.007 section 8.5); None for 99, not known."""
    rssi = re.match(r"\S+:\s*(\d+)", line)
    if rssi is None or int(rssi[1]) > 31:
        return None
    return 2 * int(rssi[1]) - 113


def operator(lines: Sequence[str]) -> str:
    """The name in the answer to +COPS? (27.007 section 7.3)."""
    values = fields(lines[0]) if lines else ()
    return values[2] if len(values) > 2 else ""


def own_number(lines: Sequence[str]) -> str:
    """The first number of +CNUM (27.007 section 7.1)."""
    for line in lines:
        values = fields(line)
        if len(values) > 1 and values[1]:
            return values[1]
    return ""


def ussd(line: str) -> tuple[int, str, int | None] | None:
    """`<m>`, `<str>` and `<dcs>` of +CUSD (27.007 section 7.15); a text may hold quotes, commas and line ends."""
    found = _USSD.fullmatch(line)
    if found is None:
        return None
    return int(found[1]), found[2] or "", int(found[3]) if found[3] else None


def ussd_complete(line: str) -> bool:
    """Whether the text of a +CUSD ends with the line: else it has a line end, and goes on."""
    quotes = line.count('"')
    return bool(quotes % 2 == 0 or (quotes > 1 and re.search(r"\",\s*\d+\s*$", line)))
