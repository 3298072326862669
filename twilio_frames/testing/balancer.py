"""Several servers behind one address, as behind a balancer that knows nothing of calls."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

__all__ = ["balancer"]

_PIECE = 64 * 1024


@asynccontextmanager
async def balancer(urls: Sequence[str]) -> AsyncIterator[str]:
    """Leads each connection to the next of some servers; gives the address of them all.

    The simulated Twilio opens a connection for each request and each stream, as the real one may:
    so a call's webhook and its stream reach different servers.

    ::

        async with balancer([one.url, other.url]) as url, twilio.call(f"{url}/twiml") as caller:
            ...

    Args:
        urls: Where the servers are, ``http://127.0.0.1:8001`` say.
    """
    places = itertools.cycle([(urlsplit(url).hostname, urlsplit(url).port) for url in urls])
    tasks: set[asyncio.Task[None]] = set()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it runs in one
        tasks.add(task)
        host, port = next(places)
        try:
            there = await asyncio.open_connection(host, port)
            await asyncio.gather(_pass(reader, there[1]), _pass(there[0], writer))
        except OSError:
            # As from a server that is gone.
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(lead, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()
