"""Whether the modem is in a network: 27.007 sections 7.2 (+CREG) and 10.1.22 (+CEREG)."""

from otpbroker.modem.answers import fields

_WORDS = {
    **dict.fromkeys(
        ("1", "6", "9"), "home"
    ),  # 6: for short messages only; 9: circuit-switched fallback not preferred
    **dict.fromkeys(("5", "7", "10"), "roaming"),
    "2": "searching",
    **dict.fromkeys(("3", "8"), "denied"),  # 8: emergency calls only
    "0": "none",
    "4": "none",
}
_WORRIES = {
    "denied": "the network refuses this SIM: is it active, and has it credit?",
    "none": "not in a network: is the antenna connected, and is there coverage?",
}
_BEST_FIRST = ("home", "roaming", "searching", "denied", "none")


class Registration:
    """Takes answers and unsolicited lines alike; either domain's registration suffices for short messages."""

    def __init__(self) -> None:
        self._domains: dict[str, str] = {}
        self.changes = 0  # of the word: behind each may be another network

    def note(self, line: str) -> bool:
        """Whether the line was about registration."""
        code = line.partition(":")[0]
        if code not in {"+CREG", "+CEREG"}:
            return False
        values = fields(line)
        # An answer begins with <n>, then <stat>; an unsolicited line with <stat>, then perhaps a quoted <lac>.
        second = line.partition(",")[2].lstrip()
        stat = values[1] if len(values) > 1 and second[:1].isdigit() else values[0] if values else ""
        before = self.word
        self._domains[code] = _WORDS.get(stat, "none")
        self.changes += self.word != before
        return True

    @property
    def word(self) -> str:
        """home | roaming | searching | denied | none, or "" as long as nothing was heard."""
        return next((word for word in _BEST_FIRST if word in self._domains.values()), "")

    @property
    def worry(self) -> str:
        """Why it can't send, and what may be done, in English."""
        return _WORRIES.get(self.word, "searching for a network")

    @property
    def registered(self) -> bool:
        return self.word in {"home", "roaming"}
