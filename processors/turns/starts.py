"""When the caller's turn begins: at once while the bot is silent, with care while it has a reply.

While the bot is heard, the output falls silent by itself at the first sound of speech, and keeps
what it had to say (:class:`twilio_frames.frames.BotHeldFrame`). While a reply is being made, the
output is asked to keep it (:class:`twilio_frames.frames.HoldFrame`). So there is time to find out
whether the caller wants to speak. What is more than 'uh-huh' begins the turn, and the bot is
interrupted. Else it was a false alarm, and a :class:`twilio_frames.frames.ResumeFrame` lets the bot
say on.

The words decide, where somebody tells them: how long a sound was tells a hum, a laugh or a child
from an order only where nobody does, or once it has become very long.

Each moment of doubt is a moment of silence on the line, so it ends as soon as it can: the
recogniser has answered, or should have; or the sound was too short to be a word. None of this is
final. Words that come when the bot speaks again interrupt it then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from loguru import logger
from pipecat.audio.vad.vad_analyzer import VAD_STOP_SECS
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterimTranscriptionFrame,
    SpeechControlParamsFrame,
    STTMetadataFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.services.stt_latency import DEFAULT_TTFS_P99
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import BaseUserTurnStartStrategy

from twilio_frames.frames import (
    BotHeldFrame,
    CallerPausedFrame,
    CallerSpeakingFrame,
    HoldFrame,
    NoWordsFrame,
    ResumeFrame,
    TurnTranscriptionFrame,
    WordsAwaitedFrame,
)
from twilio_frames.processors.turns.backchannels import HESITATIONS, Backchannels
from twilio_frames.processors.turns.late_words import LateWords
from twilio_frames.processors.turns.min_words import remembered
from twilio_frames.processors.turns.recogniser_pace import RecogniserPace
from twilio_frames.processors.turns.reply_watch import ReplyWatch

__all__ = ["ConfirmedUserTurnStartStrategy"]

UNINTELLIGIBLE = "[unintelligible]"
"""What the keyless recogniser gives for speech it could not understand."""

SHORTEST_WORD_SECS = 0.25
"""Speech that lasted less, as the VAD counts it, was no word.

'No', 'stop', 'yes', 'two' and eight more in six synthetic voices last 0.26 s at least and 0.48 s in
the middle. Of made-up coughs that the VAD takes for speech nine in ten last 0.22 s at most, of
cleared throats nearly half. ``bench/onsets.py`` measures it.
"""


VAD_LAG_SECS = 0.1
"""So much later than the ear the VAD takes the end of a sound for its end."""

_HESITATIONS = Backchannels(HESITATIONS)


class ConfirmedUserTurnStartStrategy(BaseUserTurnStartStrategy):
    """Begins the caller's turn; while the bot is heard, only once it is clear that one is wanted.

    To be used alone: it does what Pipecat's VAD and transcription strategies do while the bot is
    silent.

    Args:
        confirm_secs: Speech of this length is a turn, whatever its words are; by default
            :attr:`CONFIRM_SECS` where no recogniser tells them, else :attr:`WORDLESS_SECS`.
        backchannels: What is said without wanting to speak; English if left out.
        not_words: Transcripts that stand for speech without words.
        words_secs: How long to wait for the words after the VAD has heard the end of speech; by
            default until the speech recogniser should have answered by what it says of itself, and
            a tenth of a second at least.
        shortest_word_secs: What was shorter is not waited for; 0.0 to wait for everything.
        quiet_secs: How much silence it takes to say that it was so short.
        nearly_done_secs: With no more than this left to say, the bot has said what it wanted:
            'yes' is then an answer, not a backchannel.
        **kwargs: Pipecat's own.
    """

    QUIET_SECS = 0.25
    """So much silence ends such a short sound: more than there is within a word."""
    CONFIRM_SECS = 0.8
    """Speech of this length is a turn where nobody tells its words."""
    WORDLESS_SECS = 3.0
    """Speech of this length is a turn though its words have not come yet.

    Long hums, laughs and groans last two seconds; a recogniser of whole utterances tells nothing of
    an order until it is over. The output holds the bot for longer.
    """
    _SHORTEST_WAIT_SECS: float = 0.1
    """Words are waited for so long at least."""
    _PAUSES_SECS: float = 1.0
    """Pauses within what is said count as speech, but for so much."""

    def __init__(
        self,
        *,
        confirm_secs: float | None = None,
        backchannels: Backchannels | None = None,
        not_words: Iterable[str] = (UNINTELLIGIBLE,),
        words_secs: float | None = None,
        shortest_word_secs: float = SHORTEST_WORD_SECS,
        quiet_secs: float = QUIET_SECS,
        nearly_done_secs: float = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._confirm_secs = confirm_secs
        self._backchannels = backchannels or Backchannels.of("en")
        self._not_words = frozenset(not_words)
        self._words_secs = words_secs
        self._shortest_word_secs = shortest_word_secs
        self._quiet_secs = quiet_secs
        self._nearly_done_secs = nearly_done_secs
        self._vad_stop_secs = VAD_STOP_SECS
        self._pace = RecogniserPace(DEFAULT_TTFS_P99)
        self._tells_words = False
        self._replies = ReplyWatch()
        self._late = LateWords()
        self._bot_is_heard = False
        self._left_secs: float | None = None
        self._caller_speaks = False
        self._caller_pauses = False
        self._in_turn = self._turn_has_words = False
        self._undecided = False
        self._has_given_up = False
        self._acknowledges = False
        self._answered = False
        self._has_spoken = False
        self._words_are_asked_for = self._has_interim = False
        self._backchannel: TranscriptionFrame | None = None
        self._recogniser_is_quick = False
        self._speech_secs = self._silence_secs = self._pauses_secs = 0.0
        self._dismissed_secs = 0.0
        self._timer: asyncio.Task[None] | None = None

    async def cleanup(self):
        """Stops waiting."""
        await super().cleanup()
        await self._stop_timer()

    async def handle_user_turn_started(self):
        """The turn has begun, by this strategy or by another."""
        self._in_turn, self._turn_has_words = True, False
        self._dismissed_secs = 0.0
        self._replies.turn_started()
        await self._settle()

    async def handle_user_turn_stopped(self):
        """The turn is over."""
        self._in_turn = False
        self._replies.turn_stopped(has_words=self._turn_has_words)

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Takes in what the bot and the caller do; STOP if the turn begins by it."""
        self._replies.note(frame)
        self._pace.note(frame)
        result = await self._take(frame)
        self._late.note(frame)
        if self._in_turn and isinstance(frame, TranscriptionFrame) and frame.text.strip():
            self._turn_has_words = True
        return result

    async def _take(self, frame: Frame) -> ProcessFrameResult:
        match frame:
            case SpeechControlParamsFrame(vad_params=params) if params is not None:
                self._vad_stop_secs = params.stop_secs
            case STTMetadataFrame():
                # Speech-to-speech models tell none in time, and say so.
                self._tells_words = frame.ttfs_p99_latency > 0.0
            case BotStartedSpeakingFrame():
                self._bot_is_heard, self._left_secs = True, None
            case BotHeldFrame():
                self._left_secs = frame.left_secs
            case BotStoppedSpeakingFrame():
                self._bot_is_heard = False
                if self._undecided and self._caller_speaks and not self._tells_words:
                    return await self._begin()
            case _ if not self._in_turn:
                return await self._take_caller(frame)
            case VADUserStartedSpeakingFrame() | VADUserStoppedSpeakingFrame():
                self._caller_speaks = isinstance(frame, VADUserStartedSpeakingFrame)
            case _:
                pass
        return ProcessFrameResult.CONTINUE

    async def _take_caller(self, frame: Frame) -> ProcessFrameResult:
        match frame:
            case VADUserStartedSpeakingFrame():
                self._speech_secs = self._dismissed_secs = self._pauses_secs = 0.0
                self._has_given_up = False
                return await self._speech_started()
            case CallerSpeakingFrame() if frame.is_certain:
                return await self._speech_goes_on(frame.speech_secs)
            case CallerPausedFrame():
                return await self._take_pause(frame)
            case VADUserStoppedSpeakingFrame():
                return await self._speech_stopped(frame.stop_secs)
            case TurnTranscriptionFrame():
                pass
            case InterimTranscriptionFrame() | TranscriptionFrame():
                return await self._take_words(frame)
            case NoWordsFrame() if self._undecided:
                return await self._take_answer()
            case WordsAwaitedFrame() if self._undecided:
                self._words_are_asked_for = True
                await self._start_timer(frame.secs, self._false_alarm)
            case _:
                pass
        return ProcessFrameResult.CONTINUE

    async def _speech_started(self) -> ProcessFrameResult:
        self._caller_speaks = True
        self._caller_pauses = self._answered = False
        if not (self._bot_is_heard or self._bot_is_to_speak()):
            return await self._begin()
        self._undecided = True
        if not self._bot_is_heard:
            await self.broadcast_frame(HoldFrame)
        # Until the VAD has heard silence for its stop_secs it takes the caller to be speaking.
        await self._start_timer(self._longest_doubt_secs() + self._vad_stop_secs, self._confirm)
        return ProcessFrameResult.CONTINUE

    def _bot_is_to_speak(self) -> bool:
        # Where nobody tells words, each sound that lasts would cost the caller the wait for it.
        return self._tells_words and (self._replies.is_new or self._replies.is_due)

    def _longest_doubt_secs(self) -> float:
        is_told = self._tells_words and (self._bot_is_heard or self._bot_is_to_speak())
        usual = self.WORDLESS_SECS if is_told else self.CONFIRM_SECS
        secs = usual if self._confirm_secs is None else self._confirm_secs
        return min(2 * secs, max(secs, self.WORDLESS_SECS)) if self._acknowledges else secs

    async def _speech_goes_on(self, speech_secs: float) -> ProcessFrameResult:
        self._speech_secs = speech_secs
        self._pauses_secs, self._silence_secs = self._pauses_secs + self._silence_secs, 0.0
        if self._dismissed_secs and not (self._undecided or self._has_given_up):
            # The VAD has not told of an end, so it tells of no beginning either.
            await self._speech_started()
        if self._undecided:
            # This counts speech alone, which is better than the clock.
            await self._stop_timer()
            self._caller_pauses = self._answered = self._words_are_asked_for = False
            lasted_secs = max(speech_secs, speech_secs + self._pauses_secs - self._PAUSES_SECS)
            if lasted_secs >= self._longest_doubt_secs():
                return await self._begin()
            if self._is_wordless(speech_secs - self._dismissed_secs):
                self._has_given_up = True
                await self._false_alarm()
        return ProcessFrameResult.STOP if self._in_turn else ProcessFrameResult.CONTINUE

    def _is_wordless(self, speech_secs: float) -> bool:
        """Whether a recogniser that tells words as they are said should have told some."""
        is_told = self._recogniser_is_quick and self._tells_words and not self._has_interim
        is_due = speech_secs >= max(
            self.CONFIRM_SECS, self._pace.stated_secs + self._SHORTEST_WAIT_SECS
        )
        return is_told and is_due and self._confirm_secs is None and self._words_secs is None

    async def _take_pause(self, frame: CallerPausedFrame) -> ProcessFrameResult:
        if not frame.is_certain:
            # If this held the bot, it speaks again.
            self._left_secs = None
            return ProcessFrameResult.CONTINUE
        self._silence_secs = frame.silence_secs
        if self._undecided:
            self._caller_pauses, self._speech_secs = True, frame.speech_secs
            if self._answered:
                return await self._take_answer()
            if not self._has_nearly_finished() and self._is_no_word(frame):
                await self._false_alarm()
        return ProcessFrameResult.CONTINUE

    def _is_no_word(self, frame: CallerPausedFrame) -> bool:
        spoken = frame.speech_secs - self._dismissed_secs
        if frame.silence_secs < self._quiet_secs:
            return False
        if spoken < self._shortest_word_secs:
            return not self._acknowledges
        # Many recognisers begin only when the VAD tells of the end. But a VAD that waits for a
        # caller who pauses much is not to keep the caller waiting.
        usual_secs = 0.0 if self._recogniser_is_quick else DEFAULT_TTFS_P99
        is_due = frame.silence_secs >= max(self._pace.secs, usual_secs)
        return self._words_secs is None and not self._words_are_asked_for and is_due

    async def _speech_stopped(self, silence_secs: float) -> ProcessFrameResult:
        self._caller_speaks = False
        self._dismissed_secs = 0.0
        if self._undecided and self._answered:
            return await self._take_answer()
        if self._undecided and not self._words_are_asked_for:
            await self._start_timer(self._wait_for_words_secs(silence_secs), self._false_alarm)
        return ProcessFrameResult.CONTINUE

    async def _take_answer(self) -> ProcessFrameResult:
        """The recogniser has said all it has to say, and it was nothing that interrupts."""
        if self._caller_speaks and not self._caller_pauses:
            self._answered = True
        elif self._has_spoken and self._has_nearly_finished():
            return await self._begin()
        else:
            await self._false_alarm()
        return ProcessFrameResult.CONTINUE

    async def _take_words(
        self, frame: InterimTranscriptionFrame | TranscriptionFrame
    ) -> ProcessFrameResult:
        text = frame.text.strip()
        if isinstance(frame, InterimTranscriptionFrame):
            self._has_interim = self._has_interim or bool(text)
            self._recogniser_is_quick = self._recogniser_is_quick or self._caller_speaks
        is_backchannel = self._backchannels.cover(text)
        if text and not self._is_nothing(text, is_backchannel=is_backchannel):
            return await self._begin()
        self._acknowledges = self._acknowledges or is_backchannel
        if isinstance(frame, InterimTranscriptionFrame):
            return ProcessFrameResult.CONTINUE
        if not text and not self._undecided:
            return ProcessFrameResult.CONTINUE
        if is_backchannel and self._late.are_due and not _HESITATIONS.cover(text):
            # It is no answer to what is heard, and a part of what was said before.
            await self.push_frame(remembered(frame))
        elif is_backchannel:
            self._backchannel = frame
        self._has_spoken = self._has_spoken or bool(text)
        return await self._take_answer()

    def _is_nothing(self, text: str, *, is_backchannel: bool) -> bool:
        if self._bot_is_heard:
            is_answer = self._late.are_owed and not _HESITATIONS.cover(text)
            return (is_backchannel and not is_answer) or text in self._not_words
        if not (self._replies.is_due and self._undecided):
            return False
        # Whoever says 'yes' to a silent bot means it.
        return text in self._not_words or _HESITATIONS.cover(text)

    def _has_nearly_finished(self) -> bool:
        return self._left_secs is not None and self._left_secs <= self._nearly_done_secs

    def _wait_for_words_secs(self, silence_secs: float) -> float:
        if self._words_secs is not None:
            return self._words_secs
        return max(self._SHORTEST_WAIT_SECS, self._pace.secs - VAD_LAG_SECS - silence_secs)

    async def _begin(self) -> ProcessFrameResult:
        await self._confirm()
        return ProcessFrameResult.STOP

    async def _confirm(self) -> None:
        await self._settle()
        await self.trigger_user_turn_started()

    async def _false_alarm(self) -> None:
        was_undecided, backchannel = self._undecided, self._backchannel
        if self._caller_speaks:
            self._dismissed_secs = self._speech_secs
        await self._settle()
        # What was said so stays out of the conversation.
        await self.trigger_reset_aggregation()
        if was_undecided:
            logger.debug(f"{self}: false alarm, the bot says on")
            await self.broadcast_frame(ResumeFrame)
        if backchannel is not None:
            await self._tell_backchannel(backchannel)

    async def _tell_backchannel(self, frame: TranscriptionFrame) -> None:
        # Known to Pipecat since 1.13.
        try:
            from pipecat.frames.frames import UserBackchannelFrame
        except ImportError:
            return
        await self.push_frame(
            UserBackchannelFrame(text=frame.text, user_id=frame.user_id, timestamp=frame.timestamp)
        )

    async def _settle(self) -> None:
        self._undecided = self._acknowledges = self._answered = self._has_spoken = False
        self._words_are_asked_for = self._has_interim = False
        self._backchannel = None
        self._left_secs = None
        await self._stop_timer()

    async def _start_timer(self, secs: float, decide: Callable[[], Awaitable[None]]) -> None:
        await self._stop_timer()
        self._timer = self.create_task(self._decide_after(secs, decide), "decide")

    async def _decide_after(self, secs: float, decide: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(secs)
        self._timer = None
        await decide()

    async def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            await self.cancel_task(timer)
