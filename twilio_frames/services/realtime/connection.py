"""A realtime service whose session outlives its connections."""

import asyncio
import itertools
import time
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    StartFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.utils.errors import ErrorCategory
from websockets.exceptions import ConnectionClosed

from twilio_frames.frames import MulawOutputFrame, VendorRole
from twilio_frames.processors.fallback.vendor_watch import WatchedVendor
from twilio_frames.services.realtime.link import LinkFailure, RealtimeLink, delay_before
from twilio_frames.services.realtime.pending_response import PendingResponse

_MOST_ATTEMPTS = 6
_LOOK_SECONDS = 0.1
_CLOSE_SECONDS = 2.0

_HARMLESS = frozenset(
    {
        "response_cancel_not_active",
        "conversation_already_has_active_response",
        "input_audio_buffer_commit_empty",
    }
)
_FINAL = {
    "invalid_api_key": ErrorCategory.AUTHENTICATION,
    "insufficient_quota": ErrorCategory.QUOTA,
}
_PIPECATS_ERRORS = frozenset({"item_retrieve_invalid_item_id"})


class RealtimeConnection(WatchedVendor, OpenAIRealtimeLLMService):
    """Connects, notices when the model is gone, and connects again.

    What a session is about, its subclasses know: :meth:`_note_event`, :meth:`_lost`.

    Args:
        filler_audio: Mu-law, played once when an answer keeps the caller waiting.
        apology_audio: Mu-law, played when no answer will come.
        patience_secs: Silence after which the filler is played.
        answer_secs: Silence of the model's after which its session counts as dead.
        **kwargs: Pipecat's own.
    """

    vendor_role = VendorRole.REALTIME

    def __init__(
        self,
        *,
        filler_audio: bytes,
        apology_audio: bytes,
        patience_secs: float,
        answer_secs: float,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._filler_audio = filler_audio
        self._apology_audio = apology_audio
        self._patience_secs = patience_secs
        self._answer_secs = answer_secs
        self._debt = PendingResponse()
        self._link: RealtimeLink | None = None
        self._opened_at = 0.0
        self._keeper: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._has_begun = asyncio.Event()
        self._bot_speaks = False
        self._is_refused = False
        self._has_apologised = False
        self._was_ready = False
        self._attempts = 0
        self._told: set[str] = set()
        self._clips = itertools.count(1)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Follows whether the bot is heard; passes everything on to Pipecat's service."""
        match frame:
            case BotStartedSpeakingFrame():
                self._bot_speaks = True
            case BotStoppedSpeakingFrame():
                self._bot_speaks = False
            case _:
                pass
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._has_begun.set()

    async def _connect(self) -> None:
        # Not waited for: the call's first moments are not the connection's.
        self._attempts = 0
        if self._keeper is None:
            self._keeper = self.create_task(self._keep_connected())
        if self._watcher is None:
            self._watcher = self.create_task(self._watch())

    async def _disconnect(self) -> None:
        self._disconnecting = True
        self._api_session_ready = False
        await self.stop_all_metrics()
        link = self._link
        for task in (self._watcher, self._keeper):
            if task is not None:
                await self.cancel_task(task)
        self._watcher = self._keeper = self._link = self._websocket = None
        if link is not None:
            await self._close(link)
        self._disconnecting = False

    async def _close(self, link: RealtimeLink) -> None:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await link.close()
        except TimeoutError:
            link.break_off()

    async def _ws_send(self, realtime_message: dict[str, Any]) -> None:
        link = self._link
        if link is None:
            return
        try:
            await link.send(realtime_message)
        except (ConnectionClosed, TimeoutError):
            # The reader notices too, and the session is opened again.
            link.break_off()

    async def _keep_connected(self) -> None:
        while True:
            failure = await self._be_connected()
            self._attempts += 1
            if failure.is_final or self._attempts > _MOST_ATTEMPTS:
                break
            # Sessions that work end at times; the next one is tried at once.
            if self._attempts > 1 or not self._was_ready:
                await asyncio.sleep(delay_before(self._attempts, failure))
        self._keeper = None
        await self._give_up(failure)

    def _session_works(self) -> None:
        """The model has done what it is for: what went wrong before does not count any more."""
        self._attempts = 0
        self._has_apologised = False

    async def _be_connected(self) -> LinkFailure:
        opened = await RealtimeLink.open(
            self.base_url,
            {"Authorization": f"Bearer {self.api_key}"},
            on_event=self._note_event,
            on_error=self._take_error,
        )
        if isinstance(opened, LinkFailure):
            return opened
        self._was_ready = False
        self._opened_at = time.monotonic()
        # Pipecat reads from it and sends to it as to a WebSocket.
        self._link = self._websocket = opened
        try:
            return await self._read(opened)
        finally:
            self._link = self._websocket = None
            if not self._disconnecting:
                await self._lost()

    async def _read(self, link: RealtimeLink) -> LinkFailure:
        while self._link is link:
            try:
                await self._receive_task_handler()
                break
            except Exception as error:
                # Whatever the model says, the call goes on. Not the text, which holds the event.
                link.warn_of_garbage(type(error).__name__)
        return link.failure or LinkFailure(text="the session's connection broke")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            if self._bot_speaks:
                self._debt.bot_heard(now)
            elif self._debt.needs_bridge(now, self._patience_secs) and self._has_begun.is_set():
                self._debt.is_bridged = True
                await self._play(self._filler_audio)
            if self._link is not None and self._is_dead(now):
                self._debt.news_at = now
                self._link.break_off()

    def _is_dead(self, now: float) -> bool:
        if not self._api_session_ready:
            return now - self._opened_at > self._answer_secs
        return self._debt.is_overdue(now, self._answer_secs)

    def _note_event(self, event: dict[str, Any]) -> None:
        """Takes note of an event of the model's, ahead of Pipecat."""
        self._debt.news_at = time.monotonic()

    async def _lost(self) -> None:
        """The connection is gone, and with it all that the model knew."""
        self._api_session_ready = False
        self._llm_needs_conversation_setup = True
        await self.stop_all_metrics()

    async def _take_error(self, error: dict[str, Any]) -> bool:
        """Acts on an error the model reports; gives whether Pipecat is to see it."""
        code, param = str(error.get("code") or error.get("type")), error.get("param")
        if code in _PIPECATS_ERRORS:
            return True
        if code in _HARMLESS:
            logger.debug(f"{self}: {code}")
        elif code in _FINAL and self._link is not None:
            text = f"expected OpenAI to serve the session, got {code}: check the account"
            self._link.end_for(LinkFailure(text=text, category=_FINAL[code], is_final=True))
        elif code == "session_expired" and self._link is not None:
            self._link.break_off()
        else:
            where = f" at {param}" if param else ""
            await self._tell(
                f"expected OpenAI to take what was sent, got {code}{where}: the session goes on",
                ErrorCategory.APPLICATION,
            )
        return False

    async def _tell(self, text: str, category: ErrorCategory) -> None:
        """Reports an error, once for each cause."""
        if text not in self._told:
            self._told.add(text)
            await self.push_error(text, category=category)

    async def _give_up(self, failure: LinkFailure) -> None:
        self._is_refused = failure.is_final
        self._debt.settle()
        await self._has_begun.wait()
        await self._tell(failure.text, failure.category)
        await self._apologise()
        if not failure.is_final:
            # The next turn tries again.
            self._told.discard(failure.text)

    async def _apologise(self) -> None:
        self._debt.settle()
        if not self._has_apologised:
            self._has_apologised = True
            await self._play(self._apology_audio)

    async def _play(self, mulaw: bytes) -> None:
        if not mulaw:
            return
        context_id = f"{self.name}#clip{next(self._clips)}"
        started = TTSStartedFrame(context_id=context_id)
        started.append_to_context = False
        await self.push_frame(started)
        await self.push_frame(MulawOutputFrame.of(mulaw, context_id=context_id))
        await self.push_frame(TTSStoppedFrame(context_id=context_id))
