"""What only a process's first call takes long for, done ahead of it.

Pipecat imports its LLM adapter when the first LLM service is made, half a second of it; Silero's
model is built for the first voice; the first sentence loads the rules of its language. Each TLS
context, one for each client that opens a connection, reads the certificates of all authorities,
some 30 ms of it, unless they share one. And Python's
garbage collector goes through everything that was ever imported, a tenth of a second at a time in
which no call is served, unless it is told that those things stay.
"""

import asyncio
import functools
import gc
import importlib
import importlib.util
import ssl
from collections.abc import Sequence

from pipecat.utils.string import match_endofsentence

from twilio_frames.errors import ConfigurationError
from twilio_frames.processors import silero

__all__ = ["warm_up"]

# Where the adapter is that an LLM service takes unless it names another, by Pipecat's version.
_ADAPTERS = ("pipecat.adapters.llm", "pipecat.adapters")
_ADAPTER = "services.open_ai_adapter"
_SENTENCES = "One sentence. And another one, for Dr. Smith."

_imported = set[tuple[str, ...]]()
_frozen = False


async def warm_up(*modules: str, freeze: bool = True) -> None:
    """Makes a process's first call as quick as its second, off the event loop.

    This package's server does it before it listens. Elsewhere await it at the start of the
    application, FastAPI's lifespan say. Doing it again costs next to nothing.

    Args:
        modules: More to import: those of services that the bot imports only when it needs them.
        freeze: Whether all objects there are by then are left out of garbage collection for good.
            Done once a process.

    Raises:
        ConfigurationError: If a module cannot be imported.
    """
    await asyncio.to_thread(import_ahead, *modules)
    await silero.warm_up()
    if freeze and not _frozen:
        await asyncio.to_thread(_freeze)


def import_ahead(*modules: str) -> None:
    """Does that part of :func:`warm_up` of which a copy of the process has the use as well.

    It leaves no thread behind and no model; without arguments, it is for any bot.
    """
    if modules not in _imported:
        _import(modules)
        _imported.add(modules)
    tls_context()


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The TLS context for connections to vendors, one for the process; do not change it.

    The first time blocks for the disk; :func:`warm_up` sees to that.
    """
    return ssl.create_default_context()


async def tls_for(url: str) -> ssl.SSLContext | None:
    """What a WebSocket at this address is opened with: :func:`tls_context`, or None for ``ws:``."""
    return await asyncio.to_thread(tls_context) if url.startswith("wss:") else None


def _import(modules: Sequence[str]) -> None:
    for package in _ADAPTERS:
        if importlib.util.find_spec("openai") and importlib.util.find_spec(package):
            importlib.import_module(f"{package}.{_ADAPTER}")
            break
    match_endofsentence(_SENTENCES)
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigurationError(
                f"expected the module {name} to warm up, got: {error}: install it, or leave it out"
            ) from error


def _freeze() -> None:
    global _frozen
    if not _frozen:
        _frozen = True
        gc.collect()
        gc.freeze()
