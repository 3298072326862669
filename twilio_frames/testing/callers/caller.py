"""A caller that a script can tell what to do: say, listen, talk over, press keys, hang up."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from twilio_frames.audio import SAMPLE_RATE
from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.testing.callers.ear import JOINING_PAUSE, Spell
from twilio_frames.testing.callers.hearing import Announcement, Heard, Hearing, Span
from twilio_frames.testing.callers.tones import KEYS
from twilio_frames.testing.callers.voice import Utterance
from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.facts import Alert, CallEnd
from twilio_frames.testing.logs.log import CallLog
from twilio_frames.testing.results.result import (
    CallResult,
    heard_spans_of,
    turns_of,
    with_understood,
    with_words,
)
from twilio_frames.testing.speech import CALLER_VOICE, Speech, to_utterance
from twilio_frames.testing.stream import MediaStream

BOT_SECS = 30.0
"""How long a caller waits for the bot to do something, unless told otherwise."""

STUBBORN_SECS = 1.0
"""A bot that speaks on for longer after the caller did has spoken anew."""


class Caller:
    """Somebody on the telephone. Times are seconds; every wait has a limit.

    A method that has to wait raises :class:`CallFailedError` when the call ends meanwhile, or when
    the limit is reached, and says what it was waiting for.

    Args:
        call: The call.
        recording: Where it is being recorded.
        voice: The voice in which text is said, an espeak-ng name.
    """

    def __init__(
        self, call: SimulatedCall, *, recording: Path | None = None, voice: str = CALLER_VOICE
    ):
        self._call = call
        self._line = call.line
        self._voice = voice
        self._saying: Utterance | None = None
        self._pressed_at = 0.0
        self.recording = recording
        self.hearing = Hearing(
            announced=lambda: call.announcements, bot_spans=lambda: _spans(call.streams)
        )
        """Tells which words were heard."""

    @property
    def call_sid(self) -> str:
        """Twilio's name of the call."""
        return self._call.sid

    @property
    def log(self) -> CallLog:
        """Every message and event of the call."""
        return self._call.log

    @property
    def now(self) -> float:
        """Seconds since the call was answered."""
        return self._line.ear.now

    @property
    def answered_at(self) -> float:
        """When the call was answered, on the event loop's clock."""
        return self._line.clock.time_of(0)

    @property
    def is_connected(self) -> bool:
        """Whether the call goes on."""
        return self._call.end is None

    @property
    def hears_bot(self) -> bool:
        """Whether the bot is speaking, a pause between words included."""
        return self._line.ear.is_hearing

    @property
    def utterances(self) -> Sequence[Utterance]:
        """What has been said so far, the one being said included."""
        return self._line.voice.utterances

    @property
    def bot_spells(self) -> Sequence[Spell]:
        """When the bot was heard so far; the last one may go on."""
        return self._line.ear.spells

    @property
    def announcements(self) -> Sequence[Announcement]:
        """What Twilio itself has read to the caller so far."""
        return self._call.announcements

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Twilio's errors and warnings so far."""
        call = self._call
        return (*call.alerts, *(call.stream.alerts if call.stream else ()))

    @property
    def end(self) -> CallEnd | None:
        """Why the call ended; None while it goes on."""
        return self._call.end

    @property
    def last_input_at(self) -> float:
        """When the caller last said or pressed something: its end, infinite while it goes on."""
        if self._saying is None:
            return self._pressed_at
        if self._saying.ended_at is None:
            return float("inf")
        spoken = min(self._saying.speech_ended_at or 0.0, self._saying.ended_at)
        return max(self._pressed_at, spoken)

    @property
    def result(self) -> CallResult:
        """What came of the call so far; complete once it is over."""
        call, ear = self._call, self._line.ear
        streams = call.streams
        turns = turns_of(self._line.voice.utterances, ear.spells)
        return CallResult(
            call_sid=call.sid,
            end=call.end,
            seconds=ear.now,
            turns=with_understood(
                with_words(turns, self.hearing.words(ear.audio)), self.understood
            ),
            heard_bot=ear.audio,
            heard_spans=heard_spans_of([stream.playback for stream in streams]),
            alerts=self.alerts,
            violations=tuple(error for stream in streams for error in stream.violations),
            cut_off_secs=sum(stream.cut_off_secs for stream in streams),
            timekeeping=self._line.lateness.timekeeping,
        )

    @property
    def understood(self) -> Sequence[tuple[float, str]] | None:
        """When the bot has understood what, in seconds from the answer; None if nobody knows."""
        told = self.hearing.understood()
        return told and [(at - self.answered_at, text) for at, text in told]

    @property
    def heard_so_far(self) -> bytes:
        """All that was played to the caller so far, silence included, mu-law."""
        return self._line.ear.audio

    def bot_is_silent(self, seconds: float) -> bool:
        """Whether the bot has said all that is buffered, and nothing was heard for so long."""
        return self._has_bot_finished(seconds)

    async def start_saying(self, speech: Speech) -> Utterance:
        """Begins to say it, and goes on with the script while it is being said.

        Args:
            speech: Words, the path of a WAV file, or mu-law audio.

        Raises:
            CallFailedError: If the call is over.
            ConfigurationError: If the file cannot be read.
            MissingExtraError: If words are given and the ``local`` extra is not installed.
        """
        utterance = await to_utterance(speech, voice=self._voice)
        self._require_call("say something")
        self._line.voice.say(utterance)
        self._saying = utterance
        return utterance

    def stop_saying(self) -> None:
        """Falls silent, be it in mid-word."""
        self._line.voice.fall_silent()
        self._saying = None
        self._pressed_at = self.now

    async def say(self, speech: Speech) -> Utterance:
        """Says it, from start to end, whether or not the bot is speaking.

        Args:
            speech: Words, the path of a WAV file, or mu-law audio.

        Raises:
            CallFailedError: If the call ends before it has been said.
            ConfigurationError: If the file cannot be read.
            MissingExtraError: If words are given and the ``local`` extra is not installed.
        """
        utterance = await self.start_saying(speech)
        await self._until(
            lambda: utterance.ended_at is not None,
            what="what is being said has ended",
            seconds=600.0,
        )
        return utterance

    async def wait_for_bot(self, *, silence: float = 0.8, seconds: float = BOT_SECS) -> None:
        """Waits until the bot has spoken and has finished.

        Finished means that nothing is buffered and nothing was heard for a while. Speech counts
        from the end of what the caller said last: if the bot has answered already, this returns at
        once. A bot that has spoken and hung up has finished too.

        Args:
            silence: How long the bot must have been silent.
            seconds: How long to wait at most.
        """
        if self._call.end is not None and self._has_bot_spoken():
            return
        await self._until(
            lambda: self._has_bot_spoken() and self._has_bot_finished(silence),
            what="the bot has spoken and finished",
            seconds=seconds,
            also_when_ended=self._has_bot_spoken,
        )

    async def wait_until_bot_speaks(
        self, *, for_seconds: float = 0.0, seconds: float = BOT_SECS
    ) -> None:
        """Waits until the bot is in the middle of speaking, to talk over it.

        Args:
            for_seconds: How long it must have been speaking.
            seconds: How long to wait at most.
        """
        ear = self._line.ear
        await self._until(
            lambda: (
                ear.is_hearing and self._has_bot_spoken() and ear.spells[-1].seconds >= for_seconds
            ),
            what=f"the bot has been speaking for {for_seconds:g} s",
            seconds=seconds,
        )

    async def wait_until_bot_is_silent(
        self, *, silence: float = JOINING_PAUSE, seconds: float = BOT_SECS
    ) -> None:
        """Waits until nothing has been heard for a while, whatever is buffered.

        Args:
            silence: How long nothing must have been heard.
            seconds: How long to wait at most.
        """
        await self._until(
            lambda: self._line.ear.silent_secs >= silence,
            what="the bot is silent",
            seconds=seconds,
        )

    async def has_heard(self, phrase: str, *, since: float = 0.0) -> Heard:
        """Whether the bot's words were heard so far, one after another; true if so.

        Capitals and punctuation do not matter. Where the bot's words are not known, the local
        recogniser guesses, and the result says so.

        Args:
            phrase: The words.
            since: Seconds from the answer; what was heard before does not count.

        Raises:
            MissingExtraError: If the recogniser is needed and the ``local`` extra not installed.
            ConfigurationError: If it does not know how to pronounce a word; it names the word.
        """
        return await self.hearing.has_heard(phrase, self.heard_so_far, since)

    async def wait_until(self, is_true: Callable[[], bool], *, seconds: float) -> bool:
        """Waits until something has come true; looks every 20 ms.

        Args:
            is_true: Tells whether it has.
            seconds: How long to wait at most.

        Returns:
            Whether it has; False also when the call has ended meanwhile.
        """
        until = self.now + seconds
        while not is_true():
            if not self.is_connected or self.now >= until:
                return False
            await self._line.next_turn()
        return True

    async def wait(self, seconds: float) -> None:
        """Says nothing for so long."""
        end = self.now + seconds
        await self._until(lambda: self.now >= end, what="time has passed", seconds=seconds + 5)

    async def wait_for_end(self, *, seconds: float = BOT_SECS) -> CallEnd:
        """Waits until the call is over because the bot, or something else, ended it."""
        try:
            async with asyncio.timeout(seconds):
                await self._call.ended.wait()
        except TimeoutError:
            raise CallFailedError(
                f"expected the call to end within {seconds:g} s, it goes on: does the bot hang up?"
            ) from None
        return self._call.end or CallEnd.FAILED

    async def press(self, digits: str) -> None:
        """Presses keys, one after another; ``w`` waits half a second."""
        for digit in digits:
            if digit == "w":
                await self.wait(0.5)
                continue
            if digit.upper() not in KEYS:
                raise ConfigurationError("expected the keys 0-9, *, #, A-D or w, got another one")
            self._require_call("press a key")
            self._call.press(digit.upper())
            self._pressed_at = self.now
            await self._release_key()

    async def hang_up(self) -> None:
        """Ends the call; does nothing if it is over."""
        self._call.order(CallEnd.CALLER_HUNG_UP)
        await self._call.ended.wait()

    async def _release_key(self) -> None:
        """Waits a moment; a key may well end the call."""
        end = self.now + 0.2
        await self._until(
            lambda: self.now >= end,
            what="a key is released",
            seconds=5,
            also_when_ended=lambda: True,
        )

    def _has_bot_spoken(self) -> bool:
        """Whether the bot has spoken since the caller last said or pressed something.

        The tail of what was talked over is no answer, but a bot that speaks on and on has spoken.
        """
        spells = self._line.ear.spells
        if not spells:
            return False
        is_answer = spells[-1].began_at >= self.last_input_at
        return is_answer or spells[-1].ended_at > self.last_input_at + STUBBORN_SECS

    def _has_bot_finished(self, silence: float) -> bool:
        stream = self._call.stream
        is_idle = stream is None or stream.playback.is_idle
        return is_idle and self._line.ear.silent_secs >= silence

    def _require_call(self, purpose: str) -> None:
        if self._call.end is not None:
            raise CallFailedError(
                f"expected a call that goes on to {purpose}, got one that is over "
                f"({self._call.end.value})"
            )

    async def _until(
        self,
        is_true: Callable[[], bool],
        *,
        what: str,
        seconds: float,
        also_when_ended: Callable[[], bool] = lambda: False,
    ) -> None:
        """Looks every 20 ms whether something has come true."""
        began = self.now
        while not is_true():
            if self._call.end is not None:
                if also_when_ended():
                    return
                raise CallFailedError(
                    f"waited until {what}, but the call ended {self.now:.1f} s after the answer "
                    f"({self._call.end.value})"
                )
            if self.now - began > seconds:
                raise CallFailedError(f"waited {seconds:g} s until {what}, in vain")
            await self._line.next_turn()


def _spans(streams: Sequence[MediaStream]) -> list[Span]:
    """When the caller heard the bot's streams."""
    spans = heard_spans_of([stream.playback for stream in streams])
    return [
        (span.began_at, span.began_at + (span.end - span.begin) / SAMPLE_RATE) for span in spans
    ]
