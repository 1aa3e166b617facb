"""A network between a device and its broker that can be slow, and cut without either end being told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Network:
    """Forwards connections to 127.0.0.1:`target` from `port`. `delay`: seconds each way."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0
        self._up = asyncio.Event()
        self._up.set()
        self._flows: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """From now on nothing passes and nothing is answered; what is in transit is lost."""
        self._up.clear()

    def mend(self) -> None:
        """New connections pass; those of before the cut are dead, as after a change of address."""
        for flow in self._flows:
            flow.cancel()
        self._up.set()

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._flows.add(task)
        writers = [writer]
        try:
            await self._up.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(far_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._flow(reader, far_writer))
                group.create_task(self._flow(far_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._flows.discard(task)
            for each in writers:
                each.transport.abort()

    async def _flow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while octets := await reader.read(65536):
            if not self._up.is_set():
                await asyncio.Event().wait()  # lost, with all that follows
            if self.delay:
                loop.call_later(self.delay, writer.write, octets)
            else:
                writer.write(octets)
        writer.close()


@asynccontextmanager
async def network(target: int) -> AsyncIterator[Network]:
    made = Network(target)
    server = await asyncio.start_server(made.join, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.mend()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await server.wait_closed()
