"""Sends the output queue at the pace at which it is heard, holds it, and tells what was heard."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import groupby
from typing import NamedTuple

from loguru import logger

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.audio.mulaw import faded_in
from twilio_frames.processors.output.background import Background
from twilio_frames.processors.output.line_face import Line, Timing
from twilio_frames.processors.pipeline.patience import waited_for
from twilio_frames.protocol.output_queue import OutputQueue, Piece, SentAudio, Stretch

AUTO_MARK = "heard:"
"""What the names of the marks set here begin with; the number behind it is a position."""

# Some 100 ms, and not a whole number of 20 ms: so the marks behind tell more of the time between.
_MESSAGE_BYTES = 739
# The first of what plays without a break are shorter, each a tenth of 20 ms longer than 20 ms: by
# then it is known when it began, to 2 ms, and where a cut was.
_FIRST_BYTES, _FIRST_MESSAGES = 176, 10
_LONGEST_REST, _LONGEST_LEAD, _LONGEST_CUT = 0.25, 1.5, 2.0
_STALL_SECS, _STALLS_REMEMBERED = 0.03, 60.0
_LATE_SECS = 0.5
"""By how much later than usual the last mark may come: a busy loop reads it late."""
_DOUBT_BYTES = 24  # Of where a cut is.
# Of a background, which no word may wait for; Pipecat's own transport is as far ahead.
_BACKGROUND_LEAD = 0.04

_NO_MARKS = (
    "no mark has come back of what the bot said: on a one-way stream (<Start><Stream>) nobody "
    "hears it, use <Connect><Stream>. Otherwise the other end knows no marks, and what was heard "
    "is told by the clock"
)


class HeardAudio(NamedTuple):
    """Some of the bot's audio, as the caller heard it."""

    mulaw: bytes
    is_speech: bool


class OutputPacer:
    """One call's output queue on its way to the ear.

    Args:
        line: The way to Twilio.
        timing: How far ahead, how patient.
        background: What is heard beside the output queue.
        deliver: Called with each thing that falls due, one after the other, in order.
        on_sent: Called with each piece of speech when it has been sent.
        on_heard: Called with audio as it has been heard, ahead of what falls due by it.
    """

    def __init__(
        self,
        line: Line,
        timing: Timing,
        background: Background,
        *,
        deliver: Callable[[object], Awaitable[None]],
        on_sent: Callable[[Piece], Awaitable[None]],
        on_heard: Callable[[HeardAudio], Awaitable[None]],
    ):
        self.queue: OutputQueue[object] = OutputQueue()
        self.underruns = 0
        """How often the caller heard a hole because audio came too late."""
        self.spoke_at: float | None = None
        """When the first speech began to play, but for the line's delay; None before."""
        self.is_held = False
        self.is_held_ahead = False
        """Whether it is held, and nothing had to be cut for it."""
        self.deliver, self.on_sent = deliver, on_sent
        self.on_heard: Callable[[HeardAudio], Awaitable[None]] | None = on_heard
        """None where nobody makes anything of it."""
        self.on_word_sent: Callable[[], None] = lambda: None
        """Called when Twilio has one more word to its end."""
        self.tells_sent_at = 0.0
        """From when on ``on_sent`` is told of pieces again, ``time.monotonic()``."""
        self._shut_by = set[str]()
        self._line = line
        self._timing = timing
        self._background = background
        self._silent_until = self._queue_ends_at = 0.0
        self._heard_audio: list[HeardAudio] = []
        self._wake = asyncio.Event()
        self._may_send = True
        self.queue.on_news = self.wake
        self._delivering = asyncio.Lock()
        self._sent = SentAudio()
        self._stalls: deque[tuple[float, float]] = deque()
        self._is_cutting = False
        self._fades_in = False
        self._marks_are_lost = False
        self._heard_last = 0
        self._short_messages = 0
        line.on_echo, line.on_open = self._wake.set, self.wake
        line.on_end = self._line_ended
        line.on_left = self._line_left

    def wake(self) -> None:
        """Says that there is news: of what was laid in the output queue, say."""
        self._may_send = True
        self._wake.set()

    def _lead(self, now: float) -> float:
        """Seconds Twilio is kept ahead: the parameter, or more after stalls that were longer."""
        while self._stalls and self._stalls[0][0] < now - _STALLS_REMEMBERED:
            self._stalls.popleft()
        longest = max((stall for _, stall in self._stalls), default=0.0)
        return max(self._timing.lead_secs, min(1.5 * longest, _LONGEST_LEAD))

    def shut(self, is_shut: bool, by: str = "") -> None:
        """Keeps all that is queued, and will be, until whoever does so lets go of it."""
        (self._shut_by.add if is_shut else self._shut_by.discard)(by)
        self.wake()

    def words_ahead(self) -> list[tuple[float, object]]:
        """The words that Twilio has, and by when each is heard to its end, ``time.monotonic()``.

        None while nobody knows: until a mark has told how late Twilio plays, say.
        """
        late, plays_at = self._line.playback.late_secs, self._sent.plays_at
        if self.is_held or self._is_cutting or late == math.inf:
            return []
        return [(plays_at(at) + late, word) for at, word in self.queue.words_sent()]

    async def heard_out(self) -> None:
        """Waits until what was sent has been heard and told, in bounded time; where it is shut."""
        playback = self._line.playback
        limit = max(time.monotonic(), playback.ends_at) + playback.round_trip + _LATE_SECS
        while self.queue.heard < self.queue.sent and await self._has_news(until=limit):
            await self._deliver_heard(is_late=self._marks_are_lost)

    def _line_ended(self) -> None:
        """Finds out what was heard last, by the clock: no mark comes any more."""
        if not self._is_cutting:
            heard = self._line.playback.heard_at_end(time.monotonic())
            self._heard_last = self._sent.hear(heard, self._tell_heard)
        self.queue.tell_news()

    def _line_left(self) -> None:
        """Takes for heard what Twilio still has: it is played before anything else."""
        self._end_cut()
        self._heard_last = self._sent.hear(self._line.playback.sent, self._tell_heard)
        self.queue.tell_news()

    async def run(self, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Sends and delivers until it is cancelled.

        Args:
            goes_on: Asked at each step whether there is to be another.
        """
        loop, playback = asyncio.get_running_loop(), self._line.playback
        self._may_send, sends_at = True, math.inf
        while goes_on():
            self._wake.clear()
            now = time.monotonic()
            is_late = self._marks_are_lost or now > self._queue_ends_at + playback.round_trip
            if is_late or playback.heard > self._sent.line_heard or self.queue.has_news:
                await self._deliver_heard(is_late=is_late)
            # A mark that is back lets nothing be sent, unless something waited for it.
            if self._may_send or self.queue.has_barrier or now >= sends_at:
                self._may_send = False
                wait, now = await self._send_due(), time.monotonic()
                sends_at = math.inf if wait is None else now + wait
            else:
                now = time.monotonic()
            wait = sends_at - now
            if self.queue.heard < self.queue.length or self.queue.is_waiting:
                wait = min(_LONGEST_REST, wait)
            timer = None if wait == math.inf else loop.call_later(wait, self._wake.set)
            await self._wake.wait()
            if timer is not None:
                timer.cancel()
                late = time.monotonic() - now - wait
                if late > _STALL_SECS:
                    self._stalls.append((now, late))
                    self._may_send = True

    async def _send_due(self) -> float | None:
        """Sends all that is due; gives the seconds until more is, None for nothing."""
        queue, playback = self.queue, self._line.playback
        while self._line.is_open and (self.is_held_ahead or not self.is_held):
            if queue.has_sending:
                for thing in queue.sent_things():
                    await self.deliver(thing)
            now = time.monotonic()
            is_kept = (self.is_held or self._shut_by) and self._keeps_queue
            if queue.sent >= queue.length or is_kept or (queue.has_barrier and queue.is_barred):
                wait = await self._send_background(now) if self._background.goes_on else None
                if wait != 0.0:
                    return wait
                continue
            lead = self._lead(now) if self._stalls else self._timing.lead_secs
            if (wait := playback.ends_at - lead - now) > 0:
                return wait
            if not await self._send_next(now):
                return None
        # Where nothing had to be cut, the background goes on.
        self._background.clear()
        return None

    async def _send_next(self, now: float) -> bool:
        """Sends the next message of the output queue; False if there is none."""
        queue, playback = self.queue, self._line.playback
        if now >= playback.ends_at:
            self._short_messages = _FIRST_MESSAGES
        self._short_messages -= 1
        piece = queue.take(_MESSAGE_BYTES if self._short_messages < 0 else _FIRST_BYTES)
        if piece is None:
            return False
        if piece.is_speech and now > playback.ends_at > 0 and self._sent.ends_in_speech:
            self.underruns += piece.begin > queue.heard
        audio = piece.audio
        if self._fades_in or self._background.goes_on:
            audio = await self._background.under(faded_in(audio) if self._fades_in else audio)
            if self._keeps_queue or queue.sent != piece.end:
                # Cut, or dropped, while the background was mixed in.
                return True
            self._fades_in = False
        plays_at = max(playback.ends_at, time.monotonic())
        self._sent.add(Stretch(playback.sent, piece.begin, audio, plays_at, piece.is_speech))
        if await self._line.send_audio(audio):
            self._queue_ends_at = playback.ends_at
            if piece.ends_word:
                self.on_word_sent()
            if piece.is_speech:
                self.spoke_at = plays_at if self.spoke_at is None else self.spoke_at
                if now >= self.tells_sent_at:
                    await self.on_sent(piece)
        return True

    @property
    def _keeps_queue(self) -> bool:
        is_held = self.is_held and not (self.is_held_ahead and self.queue.is_protected)
        return is_held or bool(self._shut_by)

    async def _send_background(self, now: float) -> float | None:
        """Sends the background alone, not far ahead: the next word comes behind it."""
        playback = self._line.playback
        wait = max(playback.ends_at - _BACKGROUND_LEAD, self._silent_until) - now
        if wait > 0:
            return wait
        audio = await self._background.between()
        if not audio:
            self._silent_until = now + _BACKGROUND_LEAD
        elif self.is_held_ahead or not self.is_held:
            place, plays_at = self.queue.sent, max(playback.ends_at, time.monotonic())
            self._sent.add(Stretch(playback.sent, place, audio, plays_at, False, is_queued=False))
            await self._line.send_audio(audio)
        return 0

    async def _deliver_heard(self, *, is_late: bool) -> None:
        """Tells what has been heard by now.

        Args:
            is_late: Whether marks are lost, or late: the clock may have to tell.
        """
        async with self._delivering:
            if self._is_cutting:
                return
            line, heard = self._line, self._heard_last
            if line.is_open:
                on_line = self._heard_on_line() if is_late else line.playback.heard
                is_overheard = line.overhearing or self.on_heard is not None
                heard = self._sent.hear(on_line, self._tell_heard if is_overheard else None)
            # A line that is left is left once: what waits for the next time stays where it lies.
            goes_on = True
            while goes_on:
                things = self.queue.hear(heard, passes_barrier=not line.is_away)
                if self._heard_audio:
                    await self._tell_audio()
                for thing in things:
                    await self.deliver(thing)
                goes_on = bool(things) and self.queue.has_news

    async def _hand_on(self, things: Iterable[object]) -> None:
        """Tells of the audio that was heard, and then of what fell due by it."""
        await self._tell_audio()
        for thing in things:
            await self.deliver(thing)

    async def _tell_audio(self) -> None:
        heard, self._heard_audio = self._heard_audio, []
        for is_speech, parts in groupby(heard, key=lambda part: part.is_speech):
            if self.on_heard is not None:
                mulaw = b"".join(part.mulaw for part in parts)
                await self.on_heard(HeardAudio(mulaw, is_speech))

    def _heard_on_line(self) -> int:
        """Up to where the line's audio has been heard: by marks, by the clock if they are lost."""
        playback, now = self._line.playback, time.monotonic()
        if playback.heard >= playback.sent or not playback.is_audible:
            return playback.heard
        patience = 0.0 if self._marks_are_lost else self._timing.playout_timeout_secs
        # A background goes on behind the output queue.
        is_due = self.queue.heard < self.queue.sent
        ends_at = self._queue_ends_at if is_due else playback.ends_at
        # Where nothing comes at all it is the line that is lost, and not a mark.
        is_alone = playback.last_received > ends_at or not playback.echoed
        if is_alone and now - ends_at - playback.round_trip > patience:
            if not playback.echoed and not self._marks_are_lost:
                self._marks_are_lost = True
                logger.warning(_NO_MARKS)
            return playback.sent
        return playback.position(now) if self._marks_are_lost else playback.heard

    def _tell_heard(self, stretch: Stretch) -> None:
        if self._line.overhearing:
            self._line.bot_heard(stretch.audio, stretch.plays_at)
        if stretch.is_queued and self.on_heard is not None:
            self._heard_audio.append(HeardAudio(stretch.audio, stretch.is_speech))

    async def hold(self) -> bool:
        """Falls silent at once, and keeps what was not heard; False if nothing is being said."""
        if self.is_held or self.queue.is_protected or not self._is_speaking():
            return False
        self.is_held = True
        await self._cut()
        return True

    async def hold_ahead(self) -> bool:
        """Falls silent at once, or keeps the next thing from being said; False if it may not."""
        if self.is_held or self.queue.is_protected:
            return False
        if self._is_speaking() and self._sent:
            return await self.hold()
        self.is_held = self.is_held_ahead = True
        return True

    def _is_speaking(self) -> bool:
        return self.queue.heard < self.queue.length

    async def resume(self) -> None:
        """Says on what was held, from the end of the last word that was heard."""
        self._release_ahead()
        if not self.is_held:
            return
        await self.settled()
        if not self.is_held:
            return
        cut = self._line.playback.cut
        self.queue.rewind(cut.bound if cut else 0)
        self._fades_in = True
        self.is_held = False
        self.wake()

    def _release_ahead(self) -> None:
        if self.is_held_ahead:
            # Nothing was cut, so there is nothing to go back to.
            self.is_held = self.is_held_ahead = False
            self.wake()

    async def interrupt(self) -> list[object]:
        """Drops what was not heard, after what was heard has been delivered.

        Returns:
            What is not dropped and has nothing to wait for.
        """
        if self.queue.is_protected:
            self._release_ahead()
            self.queue.drop_unsent()
            return []
        if not self.is_held and self._is_speaking():
            self.is_held = True
            await self._cut()
        await self.settled()
        async with self._delivering:
            self._sent.forget()
            self.is_held_ahead = False
            # Words that were placed only now may lie on what has long been heard.
            await self._hand_on(self.queue.hear(self._heard_last))
            survivors = self.queue.drop()
            self.is_held = False
        self.wake()
        return survivors

    async def _cut(self) -> None:
        """Clears Twilio's buffer; what was heard is delivered when that is settled."""
        if self._is_cutting:
            return
        self._is_cutting = True
        await self._let_word_end()
        playback = self._line.playback
        if not playback.is_playing(time.monotonic()) or not await self._line.clear():
            self._end_cut()

    async def _let_word_end(self) -> None:
        """Waits out a word's last or first moments: where it is in doubt, no cut lies there."""
        position = self.position
        end = self.queue.sure_place(position, _DOUBT_BYTES)
        if end > position:
            await asyncio.sleep((end - position) / SAMPLE_RATE)

    @property
    def position(self) -> int:
        """Where in the output queue playback stands, or was cut, but for the line's delay."""
        playback = self._line.playback
        cut = playback.cut if playback.is_cutting else None
        on_line = cut.position if cut else playback.position(time.monotonic())
        position = self._sent.queue_position(on_line)
        return self.queue.heard if position is None else position

    async def settled(self) -> None:
        """Waits until it is known where the last cut was, in bounded time."""
        if not self._is_cutting:
            return
        playback = self._line.playback
        # Marks that are late tell of a line that has become slower.
        late = max(playback.round_trip, playback.overdue(time.monotonic()))
        patience = min(_LONGEST_CUT, 0.1 + 2 * late)
        await waited_for(lambda: not playback.is_cutting, self._wake, patience)
        playback.settle()
        async with self._delivering:
            if not self._is_cutting:
                return
            position = playback.cut.position if playback.cut else playback.heard
            things = self.queue.hear(self._sent.hear(position, self._tell_heard))
            self._end_cut()
            await self._hand_on(things)

    async def _has_news(self, *, until: float) -> bool:
        """Waits for news; False if there was none by then."""
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(until - time.monotonic()):
                return await self._wake.wait()
        return False

    def _end_cut(self) -> None:
        self._is_cutting = False
        self._sent.forget()
