"""Voices that cannot speak any more, and keep what they would have said out of the log.

Pipecat warns of each text that a service is no longer usable for, and names the text: since 1.13
in ``_synthesize_text``, which can be overridden; in 1.12 in the middle of ``_push_tts_frames``. So
that one takes the service for usable, and what it asks for is left out a step later.
"""

from collections.abc import AsyncGenerator
from contextvars import ContextVar
from typing import Any

from loguru import logger
from pipecat.frames.frames import Frame
from pipecat.services.tts_service import TTSService

from twilio_frames.frames import VendorRole
from twilio_frames.processors.fallback.vendor_watch import WatchedVendor

__all__ = ["RedactingTTSService"]

_NAMES_TEXTS_MIDWAY = not hasattr(TTSService, "_synthesize_text")

_pushes: ContextVar[TTSService | None] = ContextVar("pushes", default=None)
"""The service whose ``_push_tts_frames`` this is, with Pipecat 1.12."""


class RedactingTTSService(WatchedVendor, TTSService):
    """A base whose log does not tell what the bot would have said, had the service been usable."""

    vendor_role = VendorRole.TTS

    _prepared_text = ""

    async def leave_out(self, text: str) -> None:
        """Takes a text that is never said."""

    async def _leave_out(self, text: str) -> None:
        logger.debug(f"{self}: not usable, a text is left out")
        await self.leave_out(text)

    async def _synthesize_text(self, text: str, context_id: str) -> None:
        if self.is_usable:
            await super()._synthesize_text(text, context_id)
        else:
            await self._leave_out(text)

    # Pipecat 1.12.

    @property
    def is_usable(self) -> bool:
        """Whether it can be given work; Pipecat's."""
        return _pushes.get() is self or super().is_usable

    async def _push_tts_frames(self, *args: Any, **kwargs: Any) -> None:
        token = _pushes.set(self if _NAMES_TEXTS_MIDWAY else None)
        try:
            await super()._push_tts_frames(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue] Later versions have none, and call none.
        finally:
            _pushes.reset(token)

    def _prepare_text_for_tts(self, text: str) -> str:
        self._prepared_text = super()._prepare_text_for_tts(text)
        return self._prepared_text

    async def tts_process_generator(
        self, context_id: str, generator: AsyncGenerator[Frame | None, None]
    ) -> None:
        """Speaks, or leaves out what it cannot say."""
        token = _pushes.set(None)
        try:
            if self.is_usable:
                await super().tts_process_generator(context_id, generator)
            else:
                await generator.aclose()
                await self._leave_out(self._prepared_text)
        finally:
            _pushes.reset(token)
