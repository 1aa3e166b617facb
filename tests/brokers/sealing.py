"""Messages that are sealed to a device as its publishers do it, and the eyes of who listens on the way."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from joserfc import jwe
from joserfc.jwk import ECKey


def feeder_key(folders: Path, *words: str) -> dict[str, str]:
    """What the operator's command prints."""
    options = [f"--{name}={folders / name}" for name in ("state", "runtime", "log")]
    run = subprocess.run(
        [sys.executable, "-m", "otpbroker", "feeder-key", *(words or ("show",)), "--json", *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return dict(json.loads(run.stdout))


def seal(clear: str, public: dict[str, str]) -> str:
    key = ECKey.import_key({name: public[name] for name in ("kty", "crv", "x", "y")})
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": public["kid"]}
    return jwe.encrypt_compact(header, clear, key, algorithms=["ECDH-ES", "A256GCM"])


@asynccontextmanager
async def recorded(port: int) -> AsyncIterator[tuple[int, bytearray]]:
    """A way to the port that keeps all octets of both directions."""
    traffic = bytearray()
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while octets := await reader.read(65536):
                traffic.extend(unmasked(octets))
                writer.write(octets)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        for one, other in ((reader, back), (there, writer)):
            task = asyncio.create_task(pump(one, other))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], traffic
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def unmasked(octets: bytes) -> bytes:
    """With each client frame that begins here beside it in clear; masking hides nothing from who listens."""
    if len(octets) < 8 or octets[0] & 0x70 or not octets[1] & 0x80:
        return octets
    place = {126: 4, 127: 10}.get(octets[1] & 0x7F, 2)
    mask, payload = octets[place : place + 4], octets[place + 4 :]
    return octets + bytes(octet ^ mask[index % 4] for index, octet in enumerate(payload))
