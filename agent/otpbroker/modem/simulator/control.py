"""The control socket: one JSON object a line in, one JSON object a line out.

    {"do": "modems"}                                       -> {"ok": true, "modems": [{...}, ...]}
    {"do": "set", "modem": "modem-1", "knobs": {...}}      -> {"ok": true}; knobs: fields of `Behaviour`
    {"do": "card", "modem": "modem-1", "card": {...}}      -> {"ok": true}; card: fields of `SimCard`
    {"do": "fail" | "forget" | "reseat", "modem": ...}     -> {"ok": true}; see `SimulatedModem`
    {"do": "plug" | "unplug" | "reset", "modem": ...}      -> {"ok": true}
    {"do": "deliver", "modem": ..., "sender": "+62...", "text": "..."} -> {"ok": true}; "parts": [2, 1]: these alone
    {"do": "messages", "after": 0}                         -> {"ok": true, "revision": n, "messages": [{...}, ...]}
    {"do": "wait", "receiver": "62...", "contains": "...", "after": 0, "within": 5.0}
                                                           -> {"ok": true, "message": {...}}
    {"do": "clear"}                                        -> {"ok": true}

`modem` may be left out: then every modem is meant. In `wait`, `receiver` and `contains` may be left out;
`after` is a revision as `messages` tells it. What fails answers {"ok": false, "error": "..."}.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from otpbroker.modem.simulator.modem import SimulatedModem, Unplugged
from otpbroker.modem.simulator.phone import Phone, PhoneMessage

Json = dict[str, object]

REQUEST_LIMIT = 64 * 1024  # octets of a line
ANSWER_LIMIT = 16 * 1024 * 1024
LONGEST_WAIT = 300.0

_CARD_FIELDS = {"pin": str, "puk": str, "locked": bool, "absent": bool, "pin_left": int, "puk_left": int}


class RequestError(Exception):
    """The request cannot be carried out; says why."""


class ControlServer:
    """Serves the socket at `path`, readable by its owner alone, within `async with`."""

    def __init__(self, path: Path, modems: Sequence[SimulatedModem], phone: Phone) -> None:
        self._path = path
        self._modems = {modem.name: modem for modem in modems}
        self._phone = phone
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._converse, self._path, limit=REQUEST_LIMIT)
        finally:
            os.umask(mask)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # gone, or a line beyond the limit
            pass
        except asyncio.CancelledError:
            pass  # the server closes; the stream machinery would report the cancellation as an error
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Json:
        try:
            return {"ok": True, **await self._carry_out(_request(line))}
        except TimeoutError:
            return {"ok": False, "error": "no such message came in time"}
        except Unplugged as error:
            return {"ok": False, "error": f"{error} is unplugged"}
        except (RequestError, ValueError) as error:
            return {"ok": False, "error": str(error)}
        except OSError as error:  # no pty left, or the link's folder is gone
            return {"ok": False, "error": error.strerror or type(error).__name__}

    async def _carry_out(self, request: Json) -> Json:
        match request.get("do"):
            case "modems":
                return {"modems": [_description(modem) for modem in self._modems.values()]}
            case "messages":
                found = self._phone.since(_revision(request))
                return {"revision": self._phone.revision, "messages": [asdict(message) for message in found]}
            case "wait":
                return {"message": asdict(await self._wait(request))}
            case "clear":
                self._phone.clear()
            case str(what) if what in _ACTS:
                for modem in self._meant(request):
                    _ACTS[what](modem, request)
            case _:
                raise RequestError("unknown request")
        return {}

    async def _wait(self, request: Json) -> PhoneMessage:
        receiver = _string(request, "receiver", "").removeprefix("+")
        contains = _string(request, "contains", "")

        def wanted(message: PhoneMessage) -> bool:
            return receiver in {"", message.receiver} and contains in message.text

        return await self._phone.wait_for(wanted, within=_within(request), after=_revision(request))

    def _meant(self, request: Json) -> list[SimulatedModem]:
        if "modem" not in request:
            return list(self._modems.values())
        modem = self._modems.get(_string(request, "modem"))
        if modem is None:
            raise RequestError("no such modem")
        return [modem]


def _request(line: bytes) -> Json:
    request = json.loads(line)
    if not isinstance(request, dict):
        raise RequestError("a request is a JSON object")
    return request


def _description(modem: SimulatedModem) -> Json:
    return {
        "name": modem.name,
        "port": modem.path,
        "identity": asdict(modem.identity),
        "behaviour": modem.behaviour.as_json(),
        "counters": asdict(modem.counters),
        "stored": modem.stored,
        "card": {
            "locked": modem.sim.locked,
            "absent": modem.sim.absent,
            "pin_left": modem.sim.pin_left,
            "puk_left": modem.sim.puk_left,
        },
    }


def _set(modem: SimulatedModem, request: Json) -> None:
    modem.change(**_object(request, "knobs"))


def _change_card(modem: SimulatedModem, request: Json) -> None:
    fields = _object(request, "card")
    for name, value in fields.items():
        kind = _CARD_FIELDS.get(name)
        if kind is None or type(value) is not kind:
            raise RequestError(f"card: {name} is no field of a card, or of the wrong type")
    for name, value in fields.items():
        setattr(modem.sim, name, value)


def _deliver(modem: SimulatedModem, request: Json) -> None:
    modem.deliver(_string(request, "sender"), _string(request, "text"), _parts(request))


_ACTS: Mapping[str, Callable[[SimulatedModem, Json], object]] = {
    "set": _set,
    "card": _change_card,
    "plug": lambda modem, _request: modem.plug(),
    "unplug": lambda modem, _request: modem.unplug(),
    "reset": lambda modem, _request: modem.reset(),
    "fail": lambda modem, _request: modem.fail(),
    "forget": lambda modem, _request: modem.forget(),
    "reseat": lambda modem, _request: modem.reseat(),
    "deliver": _deliver,
}


def _string(request: Json, name: str, default: str | None = None) -> str:
    value = request.get(name, default)
    if not isinstance(value, str):
        raise RequestError(f"{name} must be a string")
    return value


def _parts(request: Json) -> list[int] | None:
    value = request.get("parts")
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(part) is int for part in value):
        raise RequestError("parts must be a list of whole numbers")
    return value


def _object(request: Json, name: str) -> Json:
    value = request.get(name)
    if not isinstance(value, dict):
        raise RequestError(f"{name} must be an object")
    return value


def _revision(request: Json) -> int:
    value = request.get("after", 0)
    if type(value) is not int:
        raise RequestError("after must be a whole number")
    return value


def _within(request: Json) -> float:
    value = request.get("within", 5.0)
    if not isinstance(value, int | float) or not 0 <= value <= LONGEST_WAIT:
        raise RequestError(f"within must be 0 to {LONGEST_WAIT:.0f} seconds")
    return float(value)
