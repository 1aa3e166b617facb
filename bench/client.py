"""A REST client that costs next to nothing, so that the agent is what is measured."""

import asyncio
import base64
import json
from typing import Self

from bench.rig import PASSWORD, USER

_AUTHORIZATION = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class RestClient:
    """One kept-alive connection; historic `send-sms` calls, one after the other."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, receiver: str, text: str) -> str:
        """The response code: `0000` when the modem took the message."""
        body = json.dumps({"command": "send-sms", "data": {"msisdn": receiver, "message": text}}).encode()
        self._writer.write(
            b"POST /api/sms HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Authorization: Basic %b\r\nContent-Length: %d\r\n\r\n%b" % (_AUTHORIZATION.encode(), len(body), body)
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        answer = json.loads(await self._reader.readexactly(length))
        return str(answer["response_code"])
