"""How long a modem may take, in seconds, each with its reason."""

from types import MappingProxyType
from typing import NamedTuple


class Patience(NamedTuple):
    seconds: float
    reason: str


DEFAULT = Patience(5.0, "answers from the modem's own memory take milliseconds, a stick busy with its network 2 s")
TIMEOUTS = MappingProxyType(
    {
        ">": Patience(5.0, "the prompt needs no network; a stick that reads its SIM meanwhile takes 1 to 2 s"),
        "+CPIN": Patience(
            20.0, "checking a PIN makes the SIM and then all its files be read; manuals name 5 to 15 s"
        ),
        "+CFUN": Patience(15.0, "leaving the network is told to it; manuals name 10 to 15 s"),
        "+COPS": Patience(15.0, "asks the radio; sticks that just registered take about 10 s"),
        "+CSCA": Patience(10.0, "reads and writes the SIM, which the modem may be reading itself"),
        "+CNUM": Patience(10.0, "reads the SIM's phone book"),
        "+CMGL": Patience(10.0, "reads every message of the SIM, some 0.1 s each on a slow one"),
        "+CUSD": Patience(30.0, "some modems give their OK only with the network's answer"),
        "+CLCK": Patience(20.0, "checks a PIN, as +CPIN does"),
        "+CPWD": Patience(20.0, "checks a PIN, as +CPIN does"),
        "+CMMS": Patience(2.0, "a flag in memory: not worth holding up a message"),
    }
)

# Waking or getting back in step: the first AT can be lost to autobauding, a busy modem answers within seconds.
RESYNC_TRIES = (0.5, 0.5, 1.0, 2.0, 4.0)
# A late answer that is still under way comes within one USB transfer and the modem's own scheduling.
QUIET = 0.1
# A port that tells final results without end for so long is not a modem that gets in step.
RESYNC_LIMIT = 3.0


def patience(stem: str) -> float:
    """Seconds for the command `stem` (`+CPIN`), or for the prompt (`>`)."""
    return TIMEOUTS.get(stem, DEFAULT).seconds
