"""The relay's metrics by HTTP, on loopback alone."""

import asyncio
from collections.abc import Callable

from otpbroker.errors import Misconfigured

ANSWER_WITHIN = 10.0  # seconds for the request, and again for the answer


async def serve_metrics(port: int | None, text: Callable[[], str]) -> "asyncio.Server | None":
    """Answer with `text` whatever is asked: there is only one thing to be had; None: no port, no metrics.

    Raises `Misconfigured` when the port can't be had.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await reader.readuntil(b"\r\n\r\n")
            body = text().encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
            async with asyncio.timeout(ANSWER_WITHIN):
                await writer.drain()
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            pass  # who asks and goes away gets nothing
        finally:
            writer.close()

    if port is None:
        return None
    try:
        return await asyncio.start_server(answer, "127.0.0.1", port, limit=8192)
    except OSError as error:
        raise Misconfigured(
            "port-unusable", f"metrics, port {port}: {error.strerror}", remedy="set metrics_port to another or null"
        ) from None
