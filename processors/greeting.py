"""What a bot says first, ready before anybody calls."""

import asyncio
import time

from loguru import logger

from twilio_frames.errors import ClipError
from twilio_frames.processors.clip_recorder import MakesTTS
from twilio_frames.processors.clip_store import ClipStore
from twilio_frames.processors.clips import Clip

__all__ = ["Greeting"]

_RETRY_SECONDS = 30.0


class Greeting:
    """A text that every call begins with, recorded once by the bot's own TTS service.

    Make one for all calls, beside the bot, and give it to ``call.run(greeting=...)``. Where it is
    ready its audio leaves as soon as the stream has begun. Where it is not, the call's own TTS
    service says it, and it is recorded meanwhile, for the calls to come::

        greeting = Greeting("Hello, how can I help?", lambda: PhoneCartesiaTTSService(...))

        async def warm_up():
            await greeting.prepare()

    Args:
        text: What is said.
        tts: Makes a TTS service like the bot's; may be a coroutine function.
        store: Where the recording is kept; None for a store in the user's cache.
        apart: Tells services apart whose class and settings are the same.
    """

    def __init__(
        self, text: str, tts: MakesTTS, *, store: ClipStore | None = None, apart: str = ""
    ):
        self.text = text
        self.clip: Clip | None = None
        """The recording; None as long as it is not ready."""
        self._tts = tts
        self._store = store or ClipStore()
        self._apart = apart
        self._preparing: asyncio.Task[Clip | None] | None = None
        self._failed_at = -_RETRY_SECONDS

    async def prepare(self) -> Clip | None:
        """Finds the recording, or makes it; None, and a warning, if the service cannot."""
        if self.clip is None:
            self.prepare_soon(is_patient=False)
            if self._preparing is not None:
                await asyncio.shield(self._preparing)
        return self.clip

    def prepare_soon(self, *, is_patient: bool = True) -> None:
        """Has it made in the background, unless it is ready or being made.

        Args:
            is_patient: Whether to leave a service alone for a while after it has failed.
        """
        if self.clip is not None or self._is_preparing():
            return
        if is_patient and time.monotonic() - self._failed_at < _RETRY_SECONDS:
            return
        self._preparing = asyncio.create_task(self._prepare(), name="greeting")

    def _is_preparing(self) -> bool:
        task = self._preparing
        return (
            task is not None and task.get_loop() is asyncio.get_running_loop() and not task.done()
        )

    async def _prepare(self) -> Clip | None:
        # Any exception of whoever makes the service ends here: calls are answered without.
        try:
            self.clip = await self._store.clip(self.text, self._tts, apart=self._apart)
        except Exception as error:
            self._failed_at = time.monotonic()
            reason = str(error) if isinstance(error, ClipError) else type(error).__name__
            logger.warning(
                f"the greeting is not recorded: {reason}. Until it is, it is spoken live, which "
                "takes the service's time to its first audio"
            )
        return self.clip
