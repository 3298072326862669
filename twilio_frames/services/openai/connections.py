"""The connections to OpenAI, or a server like it, that all calls of a process share."""

import asyncio
import json
import sys
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pipecat.utils.http import connection_limits

__all__ = ["give_back_connections", "new_connections", "shared_connections", "take_connections"]

# The SDK has changed its HTTP library, and may again; whichever it is knows about TLS.
_HTTP: Any = sys.modules[DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0]]

# Reading the certificates takes 30 ms and more: not while calls are going on.
# One of its own, beside that of processors/warming.py: the HTTP library changes what it is given.
_TLS = _HTTP.create_ssl_context()


_THIS_MACHINE = ("all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]")


@dataclass(slots=True)
class _Shared:
    connections: Any
    users: int = 0


SHARED: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared]" = (
    weakref.WeakKeyDictionary()
)
"""The connections of each event loop, while somebody uses them."""


def new_connections() -> Any:
    """An HTTP client of the SDK's kind that keeps its connections open, for one user."""
    return DefaultAsyncHttpxClient(
        verify=_TLS,
        # Proxies are the environment's; what runs on this machine is not behind one.
        mounts=dict.fromkeys(_THIS_MACHINE),
        limits=connection_limits(
            max_keepalive_connections=100, max_connections=1000, keepalive_expiry=None
        ),
    )


def take_connections() -> Any:
    """The HTTP client that is shared on this event loop; give it back at the end."""
    loop = asyncio.get_running_loop()
    shared = SHARED.setdefault(loop, _Shared(None))
    if shared.connections is None or shared.connections.is_closed:
        shared.connections = new_connections()
    shared.users += 1
    return shared.connections


async def give_back_connections() -> None:
    """Ends one use; the last one closes the connections."""
    loop = asyncio.get_running_loop()
    shared = SHARED[loop]
    shared.users -= 1
    if shared.users == 0:
        del SHARED[loop]
        await shared.connections.aclose()


@asynccontextmanager
async def shared_connections() -> AsyncIterator[None]:
    """Keeps the connections open between calls; for the life of a server.

    Without it they are closed when the last call ends, and the next call opens new ones.
    """
    take_connections()
    try:
        yield
    finally:
        await give_back_connections()


def _rehearse() -> None:
    """Has the SDK import and build what it would else in the middle of the first call: 70 ms."""
    thread = threading.Thread(target=lambda: asyncio.run(_ask_nobody()), name="rehearse OpenAI")
    thread.start()
    thread.join()


async def _ask_nobody() -> None:
    # What the HTTP library takes from anyio to connect; an event loads its asyncio part.
    _ = anyio.Event(), anyio.Lock, anyio.CancelScope, anyio.fail_after, anyio.connect_tcp
    connections = _HTTP.AsyncClient(transport=_HTTP.MockTransport(_answer), verify=_TLS)
    async with AsyncOpenAI(api_key="none", http_client=connections) as client:
        _ = client.models
        stream = await client.chat.completions.create(
            model="none", messages=[{"role": "user", "content": ""}], stream=True
        )
        async for _ in stream:
            pass


def _answer(request: Any) -> Any:
    delta = {"role": "assistant", "content": "", "tool_calls": [_CALL]}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop"}
    usage = dict.fromkeys(("completion_tokens", "prompt_tokens", "total_tokens"), 0)
    chunk = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "usage": usage}
    chunks = json.dumps(chunk | {"choices": [choice], "service_tier": "default"})
    headers = {"Content-Type": "text/event-stream"}
    return _HTTP.Response(200, headers=headers, content=f"data: {chunks}\n\ndata: [DONE]\n\n")


_CALL = {"index": 0, "id": "", "type": "function", "function": {"name": "", "arguments": ""}}

_rehearse()
