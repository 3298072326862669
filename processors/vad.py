"""When the caller begins and ends to speak.

Audio goes on to the recogniser as it comes, and is judged beside the pipeline, with that of all
other calls. Most of it is silence, of which nothing is told; where something is, or may be, what
comes behind that audio waits for it, a hundredth of a second as a rule: so all that is told of a
piece of audio stands right behind it, however late and in whatever lumps it came.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar

from pipecat.audio.turn.base_turn_analyzer import BaseTurnAnalyzer
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    Frame,
    InputAudioRawFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADParamsUpdateFrame,
)
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup
from pipecat.utils.errors import ErrorCategory

from twilio_frames.audio import Resampler
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import CallerPausedFrame, CallerSpeakingFrame, MulawInputFrame
from twilio_frames.pipecat_internals import follow_vad_state
from twilio_frames.processors.endpointing import (
    ECHO_MARGIN,
    LIKELY_CONFIDENCE,
    LIKELY_SECS,
    Endpointing,
    TurnEndTimes,
)
from twilio_frames.processors.pipeline.audio_warnings import advise_on_vads
from twilio_frames.processors.silero import SAMPLE_RATE, PhoneVADAnalyzer, warm_up
from twilio_frames.processors.turns.endpointer import Endpointer
from twilio_frames.processors.turns.learned_pause import LearnedPause, PauseRange

__all__ = [
    "PhoneVAD",
]

Piece = TypeVar("Piece")

_ROUNDING = 1e-6
_NO_AUDIO = InputAudioRawFrame(audio=b"", sample_rate=SAMPLE_RATE, num_channels=1)


class AudioSteps(Generic[Piece]):
    """Has pieces of the caller's audio go on together.

    All that is done with audio takes as long for a long piece as for a short one. What is kept back
    goes on with the audio behind it, or where none comes in time.

    Args:
        secs: How much audio is to go on together, at least; may be changed.
        late: Takes what was kept back for audio that did not come.
    """

    def __init__(self, secs: float, late: Callable[[list[Piece]], Coroutine[Any, Any, None]]):
        self.secs = secs
        self._late = late
        self._kept: list[Piece] = []
        self._kept_secs = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    def take(self, piece: Piece, secs: float, *, at_most: float = math.inf) -> list[Piece]:
        """Gives what goes on now: the audio and what was kept back, or nothing.

        Args:
            piece: The audio.
            secs: How long it is.
            at_most: How much may be kept back, whatever is to go on together.
        """
        step = min(self.secs, at_most) - _ROUNDING
        if not self._kept and secs >= step:
            return [piece]
        self._kept.append(piece)
        self._kept_secs += secs
        if self._kept_secs >= step:
            return self.rest()
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(2 * step, self._flush)
        return []

    def rest(self) -> list[Piece]:
        """Gives what was kept back."""
        if not self._kept:
            return []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pieces, self._kept, self._kept_secs = self._kept, [], 0.0
        return pieces

    def _flush(self) -> None:
        self._timer = None
        if pieces := self.rest():
            self._flushing = asyncio.create_task(self._late(pieces), name="audio-step")


class PhoneVAD(VADProcessor):
    """Tells the pipeline when the caller speaks. Stands right behind the transport's input.

    Besides Pipecat's frames, and unless it has another analyzer, it pushes a
    :class:`twilio_frames.frames.CallerSpeakingFrame` as soon as speech is likely, when it is
    certain and after each tenth of a second of it,
    :class:`twilio_frames.frames.CallerPausedFrame` while the caller pauses, both less often once
    the turn is the caller's and the bot is silent, and a
    :class:`twilio_frames.frames.TurnLikelyOverFrame` when they are likely done.

    It says when speech is over, so that the recogniser behind it gives its words then; a turn that
    ends by the VAD ends by that.

    Args:
        params: Thresholds and times, by default :func:`phone_vad_params`.
        echo_margin: What is so many dB quieter than the bot was just before, and sounds as it did,
            is its echo, not speech; None to take everything as it sounds.
        likely_secs: How much sound it takes to think it likely that speech has begun, which makes
            the bot fall silent; as much as ``params.start_secs`` or more to wait for certainty.
        likely_confidence: How certain the model has to be of it all that while.
        endpointing: What ends speech, and a turn with it; by default a learned pause, or with
            ``params`` or another analyzer the pause that they set.
        turn_end_times: How a pause is judged.
        learned_pause: What is known of the caller's pauses, to begin with and to look at.
        turn_analyzer: What is asked whether the turn is over, by default a
            :class:`twilio_frames.processors.turns.smart_turn.PhoneSmartTurn` as it comes. It hears
            the caller here, so no audio is needed behind the recogniser.
        vad_analyzer: Another analyzer, in the place of the shared one.
        step_secs: How much of the caller's silence a frame behind this holds, at least: a
            recogniser takes as long for a long one as for a short one. Of speech it holds 40 ms at
            most, and where something is told of it, all of it has gone on before. At 0, and with
            another analyzer, each piece goes on at once.
        **kwargs: Pipecat's own.
    """

    _PROGRESS_SECS: float = 0.1
    """How much more has to be spoken to be told of."""
    _SILENCE_SECS: float = 0.06
    """How much longer it has to be silent."""
    _TURN_SECS: float = 0.5
    """How much more of either it takes where the turn is the caller's, and nothing hangs on it."""
    _SPEECH_STEP_SECS: float = 0.04
    """How much of speech goes on together: what recognisers ask for, and two of Twilio's pieces."""
    _IDLE_SECS: float = 1.0
    """How long no audio may come while the caller speaks, before it counts as silence."""
    _ACTIVITY_SECS: float = 1.0
    """How often those who wait for the caller to be idle are told that they speak."""

    def __init__(
        self,
        *,
        params: VADParams | None = None,
        echo_margin: float | None = ECHO_MARGIN,
        likely_secs: float = LIKELY_SECS,
        likely_confidence: float = LIKELY_CONFIDENCE,
        endpointing: Endpointing | None = None,
        turn_end_times: TurnEndTimes | None = None,
        learned_pause: LearnedPause | None = None,
        turn_analyzer: BaseTurnAnalyzer | None = None,
        vad_analyzer: VADAnalyzer | None = None,
        step_secs: float = 0.1,
        **kwargs,
    ):
        analyzer = PhoneVADAnalyzer(
            params=params,
            echo_margin=echo_margin,
            likely_secs=likely_secs,
            likely_confidence=likely_confidence,
        )
        if endpointing is None:
            is_set = params is not None or vad_analyzer is not None
            endpointing = Endpointing.PAUSE if is_set else Endpointing.LEARNED_PAUSE
        elif vad_analyzer is not None and endpointing is not Endpointing.PAUSE:
            raise ConfigurationError(
                f"expected Endpointing.PAUSE beside another vad_analyzer, got {endpointing!r}: "
                "its own stop_secs say when speech is over"
            )
        self._analyzer = analyzer if vad_analyzer is None else None
        self._turns = Endpointer(
            self,
            analyzer,
            by=endpointing,
            times=turn_end_times,
            learned=learned_pause or LearnedPause(PauseRange.around(analyzer.pause_secs)),
            analyzer=turn_analyzer,
        )
        self._told_secs = self._told_silence = 0.0
        self._told_certain = self._told_pause = False
        self._in_turn = self._bot_is_heard = False
        self._pcm = b""
        self._resampler: Resampler | None = None
        self._was_quiet = True
        self._steps = AudioSteps[MulawInputFrame](step_secs, self._push_pieces)
        self._failure: BaseException | None = None
        self._is_judging = self._holds = False
        self._behind: deque[Frame] = deque()
        self._wake = asyncio.Event()
        self._catching_up: asyncio.Task[None] | None = None
        self._context: Context | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._heard = 0
        # Without queues and tasks of its own: what is heard is judged beside the pipeline.
        ours = self._analyzer is not None
        direct = {"enable_direct_mode": True, "audio_idle_timeout": 0.0} if ours else {}
        self.is_direct: bool = kwargs.get("enable_direct_mode", ours)
        """Whether it hears the transport's audio without a queue between them."""
        kwargs = {"speech_activity_period": self._ACTIVITY_SECS, **direct, **kwargs}
        super().__init__(vad_analyzer=vad_analyzer or analyzer, **kwargs)

    @property
    def learned_pause(self) -> LearnedPause:
        """What has been learned of the caller's pauses by now."""
        return self._turns.learned

    async def setup(self, setup: FrameProcessorSetup):
        """Builds the models, off the event loop, if this is the process's first call."""
        await super().setup(setup)
        advise_on_vads(self)
        # What is judged for all calls is told in nobody's context.
        self._context = copy_context()
        if self._analyzer is not None:
            await warm_up()
        await self._turns.set_up()

    async def cleanup(self):
        """Lets go of the analyzers."""
        await super().cleanup()
        if self._idle is not None:
            self._idle.cancel()
        task, self._catching_up = self._catching_up, None
        if task is not None and not task.done():
            await self.cancel_task(task)
        await self._turns.clean_up()

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        """Forwards a frame, and tells what is heard in it.

        What follows audio waits until that has been judged, so that all that is told of it comes
        right behind it.
        """
        is_ahead = direction is FrameDirection.UPSTREAM or isinstance(frame, CancelFrame)
        if self._holds and not is_ahead:
            self._behind.append(frame)
        else:
            await self._forward(frame, direction)

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Pushes a frame, behind the audio that came before it."""
        if direction is FrameDirection.DOWNSTREAM and (pieces := self._steps.rest()):
            await self._push_pieces(pieces)
        await super().push_frame(frame, direction)

    async def _push_pieces(self, pieces: Sequence[MulawInputFrame]) -> None:
        await super().push_frame(MulawInputFrame.joined(pieces))

    @property
    def patience_secs(self) -> float:
        """How much of the caller's silence may come together by now: all that goes on together."""
        analyzer = self._analyzer
        is_idle = analyzer is not None and analyzer.is_quiet and self._told_secs == 0.0
        return self._steps.secs if is_idle else 0.0

    @property
    def speech_patience_secs(self) -> float:
        """How much sound may come together by now: in the middle of speech, what goes on together.

        A pause begins up to one piece later by it, and ends speech no later.
        """
        analyzer = self._analyzer
        is_amid = analyzer is not None and analyzer.is_certain and analyzer.silence_secs == 0.0
        return self._SPEECH_STEP_SECS if is_amid else 0.0

    async def _forward(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, VADParamsUpdateFrame):
            # What is set is kept to, as where ``params`` are given.
            self._turns.keep_to_pause()
        if (analyzer := self._analyzer) is None or not isinstance(frame, InputAudioRawFrame):
            await super().process_frame(frame, direction)
            if analyzer is not None:
                self._turns.note(frame)
                self._note_turn(frame)
            return
        await FrameProcessor.process_frame(self, frame, direction)
        await self._hear(frame, analyzer)

    def _note_turn(self, frame: Frame) -> None:
        if isinstance(frame, UserStartedSpeakingFrame | UserStoppedSpeakingFrame):
            self._in_turn = isinstance(frame, UserStartedSpeakingFrame)
        elif isinstance(frame, BotStartedSpeakingFrame | BotStoppedSpeakingFrame):
            self._bot_is_heard = isinstance(frame, BotStartedSpeakingFrame)

    async def hear(self, frame: InputAudioRawFrame) -> None:
        """Takes a piece of the caller's audio, where :attr:`is_direct`.

        What Pipecat does with a frame on its way from one processor to the next takes as long as
        all that is done with the audio here.
        """
        if self._holds:
            self._behind.append(frame)
        elif self._analyzer is not None:
            try:
                await self._hear(frame, self._analyzer)
            except Exception as error:
                await self._report(error)

    async def _hear(self, frame: InputAudioRawFrame, analyzer: PhoneVADAnalyzer) -> None:
        self._was_quiet = analyzer.is_quiet
        if isinstance(frame, MulawInputFrame):
            analyzer.bot = frame.bot
            step = math.inf if self._was_quiet else self._SPEECH_STEP_SECS
            secs = len(frame.audio) / (2 * frame.sample_rate)
            if pieces := self._steps.take(frame, secs, at_most=step):
                together = frame if len(pieces) == 1 else MulawInputFrame.joined(pieces)
                await super().push_frame(together)
        else:
            await self.push_frame(frame)
        is_plain = frame.sample_rate == SAMPLE_RATE
        self._heard += 1
        self._pcm = frame.audio if is_plain else self._line_audio(frame)
        self._is_judging = self._holds = True
        if not analyzer.hear(self._pcm, self._judged):
            self._is_judging = False
            await self._follow(analyzer)
            self._holds = bool(self._behind)

    def _line_audio(self, frame: InputAudioRawFrame) -> bytes:
        """A frame's audio at the line's rate, at which it is judged."""
        rate = frame.sample_rate
        # Pipecat's workers ask for 16 kHz unless they are told otherwise. What came by telephone
        # has nothing above 4 kHz to be kept out, and a filter that keeps it out is 60 ms late.
        if self._resampler is None or self._resampler.input_rate != rate:
            self._resampler = Resampler(rate, SAMPLE_RATE, quality="QQ")
        return self._resampler.resample(frame.audio)

    def _judged(self, error: BaseException | None) -> None:
        """Takes note that the model is done with what was heard last.

        Where nothing is to be told, and nothing waits, that was all: most of a call is so.
        """
        analyzer, self._is_judging, self._failure = self._analyzer, False, error
        if analyzer is None:
            return
        if error is None and not self._behind and self._is_quiet(analyzer):
            self._turns.hear(self._pcm)
            self._holds = False
            return
        self._wake.set()
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = self.create_task(self._catch_up(analyzer), "vad", self._context)

    def _is_quiet(self, analyzer: PhoneVADAnalyzer) -> bool:
        return self._was_quiet and analyzer.is_quiet and self._told_secs == 0.0

    async def _catch_up(self, analyzer: PhoneVADAnalyzer) -> None:
        """Tells what was found, and goes on with what waited for it, until all is quiet again."""
        while self._holds or not analyzer.is_quiet or self._told_secs:
            await self._wake.wait()
            self._wake.clear()
            await self._or_report(self._follow(analyzer))
            while self._behind and not (self._is_judging or self._wake.is_set()):
                frame = self._behind.popleft()
                await self._or_report(self._forward(frame, FrameDirection.DOWNSTREAM))
            self._holds = bool(self._behind) or self._is_judging or self._wake.is_set()

    async def _or_report(self, step: Awaitable[None]) -> None:
        try:
            await step
        except Exception as error:
            await self._report(error)

    async def _report(self, error: Exception) -> None:
        text = f"expected the caller's audio to be judged, got {type(error).__name__}"
        await self.push_error(text, exception=error, category=ErrorCategory.UNKNOWN)

    async def _follow(self, analyzer: PhoneVADAnalyzer) -> None:
        """Tells what is known by what was heard last."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise RuntimeError("expected the VAD's model to run, got an error") from failure
        if not self._is_quiet(analyzer):
            await follow_vad_state(self, _NO_AUDIO)
            await self._tell(analyzer)
            if analyzer.is_certain and self._idle is None:
                self._look_soon()
        if (news := self._turns.hear(self._pcm)) is not None:
            await self.push_frame(news)

    def _look_soon(self) -> None:
        self._idle = asyncio.get_running_loop().call_later(self._IDLE_SECS, self._look, self._heard)

    def _look(self, heard: int) -> None:
        """Takes what did not come for silence, where a line falls dumb in the middle of speech."""
        self._idle = None
        if (analyzer := self._analyzer) is None or not analyzer.is_certain:
            return
        if heard == self._heard and not self._holds:
            self._pcm = bytes(2 * round(self._IDLE_SECS * SAMPLE_RATE))
            analyzer.bot, self._was_quiet = None, False
            self._is_judging = self._holds = True
            analyzer.hear(self._pcm, self._judged)
        self._look_soon()

    async def _tell(self, heard: PhoneVADAnalyzer) -> None:
        speech_secs, silence_secs = heard.speech_secs, heard.silence_secs
        if speech_secs == 0.0:
            await self._tell_over(silence_secs)
        elif self._is_news(speech_secs, is_certain=heard.is_certain):
            self._told_secs, self._told_certain = speech_secs, heard.is_certain
            self._told_pause = False
            await self.push_frame(CallerSpeakingFrame(speech_secs, heard.is_certain))
        is_first = self._told_silence == 0.0
        if not heard.is_certain or silence_secs < self._told_silence:
            self._told_silence = 0.0
        elif silence_secs - self._told_silence >= self._step(self._SILENCE_SECS, is_first):
            self._told_silence, self._told_pause = silence_secs, True
            if self._step(0.0, False):
                # Nothing of it is left to be told once the caller speaks on.
                self._told_secs = speech_secs
            await self.push_frame(CallerPausedFrame(speech_secs, silence_secs))

    def _is_news(self, speech_secs: float, *, is_certain: bool) -> bool:
        return (
            self._told_secs == 0.0
            or is_certain is not self._told_certain
            or speech_secs - self._told_secs >= self._step(self._PROGRESS_SECS, self._told_pause)
        )

    def _step(self, usual_secs: float, is_first: bool) -> float:
        """How much more it takes to be told of; the first of a pause, or behind one, hurries."""
        is_settled = self._in_turn and not (is_first or self._bot_is_heard)
        return self._TURN_SECS if is_settled else usual_secs

    async def _tell_over(self, silence_secs: float) -> None:
        if self._told_secs > 0.0 and not self._told_certain:
            await self.push_frame(CallerPausedFrame(self._told_secs, silence_secs, False))
        self._told_secs, self._told_certain = 0.0, False
