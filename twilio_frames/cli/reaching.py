"""Whom ``call`` rings: a bot that runs already, or one of this folder, served while it is rung."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from twilio_frames.cli.serve import load_bot
from twilio_frames.cli.shown.console import showing_errors
from twilio_frames.errors import ConfigurationError
from twilio_frames.testing import Caller, SimulatedTwilio
from twilio_frames.testing.streams.upgrade import ringable_scheme

if TYPE_CHECKING:
    from twilio_frames.testing.phone.witness import Witness

_SCHEMES = ("http", "https", "ws", "wss")


class Reached:
    """A bot that can be rung.

    Args:
        url: Where.
        witness: Knows its words, if it is in this process.
    """

    def __init__(self, url: str, witness: "Witness | None" = None):
        self.url = url
        self._witness = witness

    @property
    def knows_words(self) -> bool:
        """Whether the bot's words are known."""
        return self._witness is not None

    def attend(self, caller: Caller) -> None:
        """Lets a caller know the words that are heard."""
        if self._witness is not None:
            self._witness.inform(caller.call_sid, caller.hearing)

    async def mistakes_of(self, caller: Caller) -> list[BaseException]:
        """What the bot raised on a call, as far as that is known."""
        if self._witness is None:
            return []
        await self._witness.settle(caller.call_sid)
        return self._witness.mistakes_of(caller.call_sid)


def words_in(caller: Caller, began: float, ended: float) -> str:
    """The bot's words that were heard between two times."""
    words = caller.hearing.words(caller.heard_so_far) or []
    return " ".join(word.text for word in words if began <= word.sounds_at <= ended)


@asynccontextmanager
async def reached(place: str, twilio: SimulatedTwilio) -> AsyncIterator[Reached]:
    """Has somebody to ring.

    Args:
        place: A URL, or ``MODULE:BOT``, which is served meanwhile; what it raises is shown.
        twilio: Who rings.

    Raises:
        ConfigurationError: If there is no such bot.
    """
    scheme, colon, _ = place.partition(":")
    if not colon or ("://" not in place and scheme in _SCHEMES):
        raise ConfigurationError(
            "expected MODULE:BOT such as my_bot:bot, or a URL such as "
            f"http://localhost:8000/twiml, got {place!r}"
        )
    if "://" in place:
        ringable_scheme(place)
        yield Reached(place)
        return
    bot = load_bot(place)
    # Pipecat takes a second to import, in which a call would be late.
    serving = await asyncio.to_thread(import_module, "twilio_frames.testing.serving")
    witnesses = await asyncio.to_thread(import_module, "twilio_frames.testing.phone.witness")
    witness: Witness = witnesses.Witness()
    with witness.attending(), showing_errors(True):
        async with serving.serving(bot, twilio) as base_url:
            yield Reached(f"{base_url}/twiml", witness)
