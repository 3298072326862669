"""A Pipecat transport for Twilio Media Streams, over any of the usual WebSockets."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from typing import Any

from loguru import logger
from pipecat.frames.frames import ErrorFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_transport import BaseTransport

from twilio_frames.frames import (
    Act,
    CallBackFrame,
    CallEndReason,
    DetourFrame,
    DigitsWantedFrame,
)
from twilio_frames.pipecat_internals import call_event_handler, register_event_handlers
from twilio_frames.processors.clips import Clip, SpeakClipFrame
from twilio_frames.protocol import Playback, Start
from twilio_frames.transport.attending import tell_failed, tell_made
from twilio_frames.transport.bot_echo import BotEcho
from twilio_frames.transport.connection import CLOSED, MediaConnection
from twilio_frames.transport.handshake import start_kept_on
from twilio_frames.transport.input import TwilioInput
from twilio_frames.transport.output import SpeechFollower, TwilioOutput
from twilio_frames.transport.params import TwilioParams, check_params
from twilio_frames.transport.reader import LineReader
from twilio_frames.transport.recorder import CallRecorder
from twilio_frames.transport.sockets import media_socket
from twilio_frames.transport.taps import CallTap, CallTaps, Failures, LineWatcher

__all__ = ["CallRecorder", "TwilioParams", "TwilioTransport"]


class TwilioTransport(BaseTransport):
    """One phone call's audio and events, as Pipecat processors.

    Event handlers available:

    - ``on_client_connected(transport, websocket)``: the stream has begun.
    - ``on_client_disconnected(transport, websocket)``: the stream is over, and not because the bot
      ended it.
    - ``on_call_started(transport, start)``: the stream has begun; ``start`` is Twilio's message.
    - ``on_call_ended(transport, reason)``: the stream is over; a
      :class:`twilio_frames.frames.CallEndReason`.

    The pipeline ends by itself when the stream does.

    Args:
        websocket: A prepared ``aiohttp.web.WebSocketResponse``, or an accepted Starlette or
            FastAPI ``WebSocket``. Nothing need have been read of it. What Pipecat's
            ``parse_telephony_websocket()`` has read is known.
        params: Audio, lead and time limits.
        start: The stream's ``start``, if somebody else has read it from the socket.

    Raises:
        ConfigurationError: If ``websocket`` is something else, or is not open yet; or if ``params``
            ask for what a phone line cannot do.
    """

    def __init__(
        self, websocket: object, params: TwilioParams | None = None, *, start: Start | None = None
    ):
        super().__init__()
        self._websocket = websocket
        self._params = params or TwilioParams()
        check_params(self._params)
        playback = Playback()
        self._failures = Failures(lambda: f"call {self._connection.call_sid}")
        self._taps = CallTaps(self._failures, playback)
        echo = BotEcho(playback)
        self._connection = MediaConnection(
            media_socket(websocket), self._params, playback=playback, taps=self._taps, echo=echo
        )
        if (known := start or start_kept_on(websocket)) is not None:
            self._connection.adopt(known)
        self._reader = LineReader(self._connection, on_ended=self._ended)
        self._input = TwilioInput(
            self._connection,
            self._reader,
            self._params,
            taps=self._taps,
            echo=echo,
            on_started=self._started,
            on_failed=lambda error: tell_failed(self, error),
            name=f"{self}#input",
        )
        self._output = TwilioOutput(self._connection, self._params, name=f"{self}#output")
        self._input.speaks, self._output.hears = self._output, self._input
        self._connection.on_away = self._went_away
        self._telling: set[asyncio.Task[None]] = set()
        self._handlers_context = copy_context()
        self._handled = set[str]()
        register_event_handlers(self, "on_client_connected", "on_client_disconnected")
        register_event_handlers(self, "on_call_started", "on_call_ended")
        tell_made(self)

    def input(self) -> FrameProcessor:
        """The processor that hears the caller; the pipeline's first."""
        return self._input

    def output(self) -> FrameProcessor:
        """The processor that speaks to the caller; behind the TTS."""
        return self._output

    @property
    def start(self) -> Start | None:
        """Twilio's ``start`` message, once it has been read."""
        return self._connection.stream.start

    @property
    def end_reason(self) -> CallEndReason | None:
        """Why the stream ended; None while it lasts."""
        return self._connection.end_reason

    @property
    def is_dead(self) -> bool:
        """Whether the line was lost by its silence: nobody closed it, and Twilio may not know."""
        ended = self._connection
        return ended.end_reason is CallEndReason.LINE_LOST and ended.end_detail != CLOSED

    @property
    def violations(self) -> dict[str, int]:
        """How many received messages broke which rule; they were skipped."""
        return dict(self._connection.violations)

    @property
    def listener_failures(self) -> dict[str, int]:
        """How often a tap or watcher raised what."""
        return dict(self._failures.counts)

    @property
    def underruns(self) -> int:
        """How often the caller heard a hole in a sentence because its audio came too late."""
        return self._output.underruns

    @property
    def playback(self) -> Playback:
        """What Twilio has played of the bot's audio, and where the last ``clear`` cut it."""
        return self._connection.playback

    async def wait_for_start(self) -> Start:
        """Reads ``connected`` and ``start`` before the pipeline does, to decide by them.

        From then on the line is read: a caller who hangs up is noticed, and what is said is kept
        for the pipeline, for half a minute.

        Raises:
            StreamTimeoutError: If they did not come in time.
            CallFailedError: If the socket closed first, or the audio is of no known format.
        """
        return await self._reader.wait_for_start()

    async def greet(
        self, clip: Clip, *, append_to_context: bool = True, interruptible: bool = True
    ) -> None:
        """Says a clip as soon as the stream has begun, even before the pipeline is up.

        It is remembered, held and interrupted like anything else the bot says. Once the pipeline
        is up this is the same as a :class:`twilio_frames.processors.clips.SpeakClipFrame` at the
        output: it is said behind what has been queued there.

        Args:
            clip: What is said.
            append_to_context: Whether the words that are heard of it are remembered.
            interruptible: Whether the caller may talk over it.

        Raises:
            StreamTimeoutError: If the stream did not begin in time.
            CallFailedError: If the socket closed first, or the audio is of no known format.
        """
        await self.wait_for_start()
        frame = SpeakClipFrame(clip, append_to_context)
        frame.interruptible = interruptible
        await self._output.say_first(frame)

    def hold_speech(self, is_held: bool = True, *, by: str = "") -> None:
        """Keeps what the bot says from being heard until it is told otherwise.

        Args:
            is_held: False to let it be heard.
            by: Who keeps it, if more than one may: it is heard when nobody does.
        """
        self._output.hold_speech(is_held, by=by)

    def words_ahead(self) -> list[tuple[float, object]]:
        """The words that Twilio has, and by when each is heard to its end, ``time.monotonic()``."""
        return self._output.words_ahead()

    def when_word_sent(self, tell: Callable[[], None]) -> None:
        """Has somebody told when that is one more."""
        self._output.pacer.on_word_sent = tell

    async def heard_out(self) -> None:
        """Waits until what was sent has been heard, in bounded time; while speech is held."""
        await self._output.heard_out()

    async def close(
        self, reason: CallEndReason = CallEndReason.BOT_HUNG_UP, detail: str = "closed"
    ) -> None:
        """Closes the socket now, in bounded time; Twilio goes on with its TwiML.

        What has not been played may be cut off: to end after the last word, end the pipeline.
        """
        await self._connection.close(reason, detail)
        await self._reader.finish()

    def add_tap(self, tap: CallTap) -> None:
        """Lets somebody listen in on both sides as they are heard, a recorder say.

        What a tap raises is logged once per kind, counted (:attr:`listener_failures`), and does the
        call no harm.

        Raises:
            ConfigurationError: If it lacks a method, or has one that would have to be awaited.
        """
        self._taps.add(tap)

    def remove_tap(self, tap: CallTap) -> None:
        """Lets somebody listen in no longer; one that does not is no error."""
        self._taps.audience.remove(tap)

    @property
    def opened_at(self) -> float:
        """When the socket was taken over, by ``time.monotonic()``; taps count from then."""
        return self._taps.opened_at

    def add_watcher(self, watcher: LineWatcher) -> None:
        """Lets somebody see the stream's messages, a call log say; as harmless as a tap.

        Raises:
            ConfigurationError: If it lacks a method, or has one that would have to be awaited.
        """
        self._connection.watchers.add(watcher)

    def follow(self, follower: SpeechFollower) -> TwilioOutput:
        """Lets somebody be told when caller and bot begin and end to speak; as harmless as a tap.

        Returns:
            The output, whose state the follower may look at.
        """
        self._output.followers.add(follower)
        return self._output

    def see_to_detours(self, handler: Callable[[DetourFrame], bool] | None) -> None:
        """Has somebody see to the call's way to other TwiML, and back.

        Args:
            handler: Told of each :class:`twilio_frames.frames.DetourFrame` that is due; gives
                whether it is made. Then the stream is closed, or Twilio's ``stop`` is awaited
                (``by_rest``); what comes next is up to the handler.
        """
        self._connection.on_detour = handler

    def see_to_actions(self, handler: Callable[[Act], None]) -> None:
        """Has somebody do what :class:`twilio_frames.frames.CallActionFrame` asks for."""
        self._connection.on_action = handler

    async def leave_at_once(self, detour: DetourFrame) -> bool:
        """Leaves the stream in the middle of what is being said; the rest is said when it is back.

        Whoever sees to detours is told of it, as of one that fell due.

        Returns:
            Whether the stream is left.
        """
        return await self._output.leave_at_once(detour)

    def offer_keys(self, take: Callable[[str], bool]) -> None:
        """Lets somebody take keys before they go into the pipeline.

        Args:
            take: Given each key that is pressed; gives whether it is taken.
        """
        self._input.take_key = take

    async def want_digits(
        self,
        is_wanted: bool,
        *,
        is_private: bool,
        take_words: Callable[[str], None] | None = None,
    ) -> None:
        """Tells the pipeline that the caller is asked for digits, or is not any more.

        Args:
            is_wanted: Whether they are.
            is_private: Whether taps, a recorder say, are to hear silence from here on.
            take_words: Takes what the caller says meanwhile, where that may be digits.
        """
        self._taps.be_private(is_private, "digits")
        await self._input.broadcast_frame(
            DigitsWantedFrame, is_wanted=is_wanted, is_private=is_private, take_words=take_words
        )

    def keep_out(self, is_private: bool, what: str) -> None:
        """Lets those who listen in, a recorder say, hear silence of both sides.

        Args:
            is_private: Whether they do from here on.
            what: Why; they hear again when there is no reason left.
        """
        self._taps.be_private(is_private, what)

    def mute_caller(self, is_muted: bool) -> None:
        """Has the pipeline hear silence in the caller's place, and no keys; recorders hear all."""
        self._input.hears_silence = is_muted

    def stay(self) -> bool:
        """Says that Twilio has refused a detour that it was asked for by REST.

        Returns:
            Whether the stream goes on; False if it is over.
        """
        if not self._connection.stay():
            return False
        self._tell_pipeline(self._output.say_on())
        return True

    async def is_left(self, *, within_secs: float) -> bool:
        """Whether the stream is over, or is by then: for a detour, or with the call."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_secs):
                await self._connection.gone.wait()
        return self._connection.gone.is_set()

    @property
    def is_away(self) -> bool:
        """Whether the call has left its stream for something else, and is to come back."""
        return self._connection.is_away

    async def come_back(
        self, websocket: object, start: Start, results: Sequence[Mapping[str, str]] = ()
    ) -> CallBackFrame | None:
        """Goes on with the same call on a new stream.

        Args:
            websocket: An open WebSocket, as for the transport itself, whose ``start`` was read.
            start: That message.
            results: What Twilio said of what was done meanwhile.

        Returns:
            What the pipeline is told; None if the call is not away.
        """
        if (detour := self._connection.left_for) is None:
            return None
        stream = MediaConnection(media_socket(websocket), self._params)
        stream.adopt(start)
        back = CallBackFrame(
            detour=detour,
            results=tuple(results),
            away_secs=self._connection.come_back(stream),
            stream_sid=start.stream_sid,
        )
        self._tell_pipeline(self._input.line_back(back))
        return back

    def _went_away(self, detour: DetourFrame) -> None:
        self._tell_pipeline(self._input.line_left(detour))

    def _tell_pipeline(self, work: Coroutine[Any, Any, None]) -> None:
        previous = list(self._telling)

        async def tell() -> None:
            if previous:
                await asyncio.wait(previous)
            await work

        task = asyncio.create_task(tell(), name="detour", context=self._handlers_context)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def expect_transfer(self, expected: bool = True) -> None:
        """Says that the call is about to get other TwiML: the ``stop`` to come is a transfer.

        Until then the stream is not closed, for a while, whatever the pipeline does.

        Args:
            expected: False if the transfer has failed.
        """
        self._connection.transferring = expected

    async def wait_for_close(self) -> None:
        """Waits until the line is closed, or is to be closed when a transfer is through."""
        await self._connection.closing.wait()

    def expect_end(self, reason: CallEndReason = CallEndReason.BOT_HUNG_UP) -> None:
        """Says that the pipeline has been asked to end: some time behind the last word it is over.

        A pipeline says so itself, unless the end does not get through to its first processor.

        Args:
            reason: Why the call will have ended, if nothing else ends it.
        """
        self._connection.checks.bot_ends_as = reason
        self._connection.checks.expect_end(time.monotonic())

    @property
    def pipeline_failure(self) -> ErrorFrame | None:
        """Why the pipeline did not come up, or stands still; None if it goes on, or may yet."""
        return self._input.failure

    @property
    def pipeline_is_up(self) -> bool:
        """Whether the pipeline has been up."""
        return self._connection.checks.pipeline_is_up

    def expect_break_off(self) -> None:
        """Says that the bot is being stopped from outside: what it ends by is an error."""
        self._connection.breaks_off = True

    def add_event_handler(self, event_name: str, handler: Callable[..., Any]) -> None:
        """Adds a handler; what it does and raises belongs to whoever adds it.

        Args:
            event_name: One of those above.
            handler: A function or a coroutine function.
        """
        self._handlers_context = copy_context()
        self._handled.add(event_name)
        super().add_event_handler(event_name, handler)

    async def _tell(self, event_name: str, *arguments: object) -> None:
        if event_name not in self._handled:
            return
        # The line is read, and closed, in tasks that have nothing to do with the bot.
        work = call_event_handler(self, event_name, *arguments)
        await asyncio.create_task(work, name="transport-event", context=self._handlers_context)

    async def _started(self, start: Start) -> None:
        await self._tell("on_client_connected", self._websocket)
        await self._tell("on_call_started", start)

    async def _ended(self, reason: CallEndReason) -> None:
        if self._connection.checks.was_dead_air:
            self._input.blame()
        if self.underruns:
            logger.warning(
                f"call {self._connection.call_sid}: the caller heard {self.underruns} holes in the "
                "bot's speech, because its audio came too late: the speech service is slower than "
                "speech, or the event loop was blocked for longer than `lead_secs`"
            )
        await self._tell("on_call_ended", reason)
        if reason is not CallEndReason.BOT_HUNG_UP:
            await self._tell("on_client_disconnected", self._websocket)
