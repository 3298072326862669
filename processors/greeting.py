"""What a bot says first, ready before anybody calls."""

import asyncio
import time

from loguru import logger

from twilio_frames.errors import ClipError
from twilio_frames.processors.clips import Clip
from twilio_frames.processors.clips.recorder import MakesTTS
from twilio_frames.processors.clips.store import ClipStore

__all__ = ["Greeting"]

_LIVE = "calls are taken, and it is spoken live until it is"


class Greeting:
    """A text that every call begins with, recorded once by the bot's own TTS service.

    Make one for all calls, beside the bot, and give it to ``call.run(greeting=...)``. Where it is
    ready its audio leaves as soon as the stream has begun. Where it is not, the call's own TTS
    service says it, and it is recorded meanwhile, for the calls to come. A service that fails is
    tried again a few times, with growing pauses, and then when there are calls::

        greeting = Greeting("Hello, how can I help?", lambda: PhoneCartesiaTTSService(...))

        async def warm_up():
            await greeting.prepare()

    Args:
        text: What is said.
        tts: Makes a TTS service like the bot's; may be a coroutine function.
        store: Where the recording is kept; None for a store in the user's cache.
        apart: Tells services apart whose class and settings are the same.
        retry_secs: Seconds until a service that failed is tried again; twice as long each time.
        time_limit: Seconds that recording may take, each time.
    """

    _RETRY_SECS = 30.0
    """How long a service that has failed is left alone."""
    _ATTEMPTS = 5
    """How often it is tried again without being asked."""
    _CLOSE_SECS = 5.0
    """How long a recording that goes on may take to end."""

    def __init__(
        self,
        text: str,
        tts: MakesTTS,
        *,
        store: ClipStore | None = None,
        apart: str = "",
        retry_secs: float = 5.0,
        time_limit: float = 20.0,
    ):
        self.text = text
        self.clip: Clip | None = None
        """The recording; None as long as it is not ready."""
        self._tts = tts
        self._store = store or ClipStore()
        self._apart = apart
        self._retry_secs = retry_secs
        self._time_limit = time_limit
        self._preparing: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._failures = 0
        self._has_warned = False
        self._failed_at = -self._RETRY_SECS

    async def prepare(self, *, patience: float = 3.0) -> Clip | None:
        """Finds the recording, or makes it.

        Args:
            patience: Seconds to wait for it. Then, or when the service has failed, it goes on in
                the background.

        Returns:
            None, and a warning is logged, if it is not ready.
        """
        if self.clip is None:
            self.prepare_soon(is_patient=False)
            if self._preparing is not None:
                await asyncio.wait({self._preparing}, timeout=patience)
            if self._is_preparing():
                self._warn(f"the greeting is not recorded after {patience:g} s: {_LIVE}")
        return self.clip

    async def close(self) -> None:
        """Gives up what is being recorded, in bounded time."""
        if self._retry is not None:
            self._retry.cancel()
        if self._preparing is not None and self._is_preparing():
            self._preparing.cancel()
            await asyncio.wait({self._preparing}, timeout=self._CLOSE_SECS)

    def prepare_soon(self, *, is_patient: bool = True) -> None:
        """Has it made in the background, unless it is ready or being made.

        Args:
            is_patient: Whether to leave a service alone for a while after it has failed.
        """
        if self.clip is not None or self._is_preparing():
            return
        if is_patient and time.monotonic() - self._failed_at < self._RETRY_SECS:
            return
        if self._retry is not None:
            self._retry.cancel()
        self._preparing = asyncio.create_task(self._prepare(), name="greeting")

    def _is_preparing(self) -> bool:
        task = self._preparing
        return (
            task is not None and task.get_loop() is asyncio.get_running_loop() and not task.done()
        )

    async def _prepare(self) -> None:
        # Any exception of whoever makes the service ends here: calls are answered without.
        try:
            self.clip = await self._store.clip(
                self.text, self._tts, apart=self._apart, time_limit=self._time_limit
            )
        except Exception as error:
            self._note_failure(str(error) if isinstance(error, ClipError) else type(error).__name__)
            return
        if self._has_warned:
            logger.info("the greeting is recorded")

    def _note_failure(self, reason: str) -> None:
        self._failures += 1
        self._failed_at = time.monotonic()
        self._warn(f"the greeting is not recorded: {reason}: {_LIVE}")
        if self._failures < self._ATTEMPTS:
            pause = self._retry_secs * 2 ** (self._failures - 1)
            self._retry = asyncio.get_running_loop().call_later(pause, self._try_again)

    def _try_again(self) -> None:
        self.prepare_soon(is_patient=False)

    def _warn(self, text: str) -> None:
        logger.log("DEBUG" if self._has_warned else "WARNING", text)
        self._has_warned = True
