"""The inbox on the disk: a file a message, each sealed under its own name. Everything here blocks."""

import json
import logging
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from otpbroker.errors import Misconfigured
from otpbroker.files import erase_file, make_folder, replace_file
from otpbroker.messaging.received import Received
from otpbroker.sealing import Sealer

_log = logging.getLogger(__name__)

_TIME_DIGITS = 11  # hexadecimal, of milliseconds since 1970
_RANDOM_OCTETS = 3


@dataclass(frozen=True, slots=True)
class Known:
    """What a message is known again by, as keyed hashes."""

    digest: bytes | None  # of the whole; None: nothing tells it from a later one with the same text
    parts: frozenset[bytes]  # of a long one


class InboxFolder:
    """Names sort in the order that `new_name` gave them out."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder = folder
        self._sealer = Sealer(key)

    def write(self, received: Received, known: Known) -> None:
        make_folder(self._folder)
        plain = {name: value for name, value in asdict(received).items() if name != "id"}
        plain["known"] = {
            "digest": known.digest and known.digest.hex(),
            "parts": [part.hex() for part in known.parts],
        }
        sealed = self._sealer.seal(json.dumps(plain).encode(), f"inbox/{received.id}")
        replace_file(self._folder / received.id, sealed)

    def _open(self, message_id: str) -> tuple[Received, Known] | None:
        try:
            sealed = (self._folder / message_id).read_bytes()
            plain = json.loads(self._sealer.open(sealed, f"inbox/{message_id}"))
            known = plain.pop("known")
            digest = known["digest"] and bytes.fromhex(known["digest"])
            parts = frozenset(map(bytes.fromhex, known["parts"]))
            return Received(id=message_id, **plain), Known(digest, parts)
        except FileNotFoundError:  # deleted meanwhile
            return None
        except (OSError, Misconfigured, ValueError, TypeError, KeyError) as error:
            _log.warning("inbox: message %s can't be read: %s", message_id, error)
            return None

    def read(self, message_id: str) -> Received | None:
        opened = self._open(message_id)
        return None if opened is None else opened[0]

    def read_some(self, ids: list[str], modem_id: str | None, limit: int) -> list[Received]:
        found: list[Received] = []
        for message_id in ids:
            if len(found) == limit:
                break
            received = self.read(message_id)
            if received is not None and modem_id in {None, received.modem_id}:
                found.append(received)
        return found

    def erase(self, message_id: str) -> None:
        erase_file(self._folder / message_id)

    def look(self) -> dict[str, Known]:
        """Every message there is, also one that this key does not open: it goes when its time comes."""
        found: dict[str, Known] = {}
        if not self._folder.is_dir():
            return found
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith("."):  # what a loss of power left of a write
                path.unlink(missing_ok=True)
            elif _is_id(path.name):
                opened = self._open(path.name)
                found[path.name] = Known(None, frozenset()) if opened is None else opened[1]
        return found


def new_name(now: float, last: str | None) -> str:
    """A name for what comes `now` (Unix seconds) and after `last`, whatever the clock did in between."""
    at = max(int(now * 1000), 0 if last is None else int(last[:_TIME_DIGITS], 16) + 1)
    return f"{at:0{_TIME_DIGITS}x}{secrets.token_hex(_RANDOM_OCTETS)}"


def time_of(name: str) -> float:
    """When it was given, in Unix seconds."""
    return int(name[:_TIME_DIGITS], 16) / 1000


def _is_id(name: str) -> bool:
    return len(name) == _TIME_DIGITS + 2 * _RANDOM_OCTETS and set(name) <= set("0123456789abcdef")
