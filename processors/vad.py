"""When the caller begins and ends to speak."""

import numpy as np
from pipecat.audio.turn.base_turn_analyzer import BaseTurnAnalyzer
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams, VADState
from pipecat.frames.frames import Frame, InputAudioRawFrame, VADParamsUpdateFrame
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup

from twilio_frames.audio.echo import BotAtEar
from twilio_frames.audio.echo_gate import EchoGate, Heard
from twilio_frames.errors import ConfigurationError
from twilio_frames.frames import (
    CallerPausedFrame,
    CallerSpeakingFrame,
    MulawInputFrame,
)
from twilio_frames.pipecat_internals import set_vad_params
from twilio_frames.processors.endpointing import Endpointing, TurnEndTimes
from twilio_frames.processors.silero import (
    MOST_WINDOWS,
    SAMPLE_RATE,
    WINDOW,
    StreamState,
    shared_batch,
    warm_up,
)
from twilio_frames.processors.turns.endpointer import Endpointer
from twilio_frames.processors.turns.learned_pause import LearnedPause, PauseRange

__all__ = ["PhoneVAD", "phone_vad_params"]

_WINDOW_SECS = WINDOW / SAMPLE_RATE
_WINDOW_BYTES = WINDOW * 2

ECHO_MARGIN = 6.0
"""By how many dB the bot's echo is quieter than the bot, at least.

What is louder is never taken for one, and so is known for the caller's at once. What is quieter is
compared with what the bot said: see :mod:`twilio_frames.audio.echo_gate`.
"""

LIKELY_SECS = 0.06
"""How much of what is almost certainly speech is enough to hold the bot: two windows.

The VAD is certain at its ``start_secs`` of 0.16. Two windows in a row of 0.8 come 80 ms ahead of
that on the mean, with recorded people as with synthetic voices; with people, hardly ever in vain.
Of made-up coughs one in sixty holds the bot in vain, of cleared throats one in fifteen. Three
windows of 0.6 would come 15 ms later, and be in vain six times as often. ``bench/onsets.py``
measures it.
"""

LIKELY_CONFIDENCE = 0.8
"""How certain the model has to be of each of those windows."""


def phone_vad_params() -> VADParams:
    """Good values for speech over a telephone.

    Levels differ by 30 dB between telephones, so loudness decides nothing. People pause for half a
    second within a sentence when they think.
    """
    return VADParams(confidence=0.6, start_secs=0.16, stop_secs=0.6, min_volume=0.0)


class PhoneVADAnalyzer(VADAnalyzer):
    """Pipecat's VAD states, by one Silero model that all calls of the process share.

    Args:
        params: Thresholds and times; ``min_volume`` is not looked at.
        echo_margin: What is so many dB quieter than the bot was just before, and sounds as it did,
            is its echo, not speech; None to take everything as it sounds.
        likely_secs: How much sound it takes to think it likely that speech has begun.
        likely_confidence: How certain the model has to be of it all that while.
    """

    _OVER_WINDOWS = 3
    """So many windows without speech end what was only likely."""

    def __init__(
        self,
        *,
        params: VADParams | None = None,
        echo_margin: float | None = ECHO_MARGIN,
        likely_secs: float = LIKELY_SECS,
        likely_confidence: float = LIKELY_CONFIDENCE,
    ):
        self._state = VADState.QUIET
        self._likely_windows = _windows_of(likely_secs)
        self._likely_confidence = likely_confidence
        self._is_likely = False
        self._sure = 0
        self._silent = 0
        self._stream = StreamState()
        self._audio = bytearray()
        self._windows = 0
        self._spoken = 0
        self._gate = None if echo_margin is None else EchoGate(echo_margin)
        self._unsure: list[float] = []
        self.bot: BotAtEar | None = None
        """What the bot was saying where its echo would be in the audio to come; None if silent."""
        params = params or phone_vad_params()
        self._pause_secs = params.stop_secs
        super().__init__(sample_rate=SAMPLE_RATE, params=params)

    @property
    def pause_secs(self) -> float:
        """The silence that ends speech where nothing else is asked for."""
        return self._pause_secs

    def end_after(self, silence_secs: float) -> None:
        """Has so much silence end the speech that goes on; what it has been counts."""
        if silence_secs != self.params.stop_secs:
            # The VAD's frames tell of the silence that ended it by these.
            set_vad_params(self, self.params.model_copy(update={"stop_secs": silence_secs}))

    @property
    def speech_secs(self) -> float:
        """How much was said since the onset of speech, without pauses; 0.0 in silence."""
        return self._spoken * _WINDOW_SECS if self.is_certain or self._is_likely else 0.0

    @property
    def silence_secs(self) -> float:
        """How long it has been silent since."""
        return self._silent * _WINDOW_SECS

    @property
    def is_certain(self) -> bool:
        """Whether it is speech beyond doubt, rather than likely."""
        return self._state in (VADState.SPEAKING, VADState.STOPPING)

    def num_frames_required(self) -> int:
        """Samples the model looks at in one step."""
        return WINDOW

    def voice_confidence(self, buffer: bytes) -> float:
        """Not in use: the windows of all calls are judged together."""
        raise NotImplementedError("expected analyze_audio() to be called: it runs the shared model")

    def set_params(self, params: VADParams):
        """Takes other thresholds and times, and is quiet until it hears speech anew."""
        super().set_params(params)
        self._pause_secs = params.stop_secs
        self._state = VADState.QUIET
        self._is_likely = False
        self._windows = self._spoken = self._sure = self._silent = 0
        self._unsure = []

    async def analyze_audio(self, buffer: bytes) -> VADState:
        """The state after this audio.

        Args:
            buffer: 16-bit mono PCM at 8 kHz, of any length.
        """
        self._audio += buffer
        while whole := min(len(self._audio) // _WINDOW_BYTES, MOST_WINDOWS):
            audio = bytes(self._audio[: whole * _WINDOW_BYTES])
            del self._audio[: whole * _WINDOW_BYTES]
            pcm = np.frombuffer(audio, dtype=np.int16)
            windows = (pcm.astype(np.float32) / 32768).reshape(whole, WINDOW)
            found = await shared_batch().judge(self._stream, list(windows))
            for number, probability in enumerate(found):
                begin = number * _WINDOW_BYTES
                behind = len(audio) - begin - _WINDOW_BYTES + len(self._audio)
                self._take(audio[begin : begin + _WINDOW_BYTES], probability, behind // 2)
        return self._state

    def _take(self, window: bytes, probability: float, samples_behind: int) -> None:
        """Takes a window for the caller's, or not; one that is unsure waits for what it will be."""
        heard = self._whose(window, probability, samples_behind)
        if heard is Heard.UNSURE:
            self._unsure.append(probability)
            return
        waiting, self._unsure = self._unsure, []
        for earlier in [*waiting, probability]:
            speech = heard is Heard.CALLER and earlier >= self.params.confidence
            self._guess(speech=speech, is_sure=earlier >= self._likely_confidence)
            self._move_on(speech=speech)

    def _whose(self, window: bytes, probability: float, samples_behind: int) -> Heard:
        if self._gate is None:
            return Heard.CALLER
        # A short word is over before it is clear whose it was.
        is_speech = probability >= self.params.confidence or bool(self._unsure)
        until = self.bot.until - samples_behind / SAMPLE_RATE if self.bot else 0.0
        return self._gate.judge(window, self.bot, until, is_speech=is_speech)

    def _guess(self, *, speech: bool, is_sure: bool) -> None:
        """Finds out whether speech is likely, ahead of the VAD's states."""
        self._silent = 0 if speech else self._silent + 1
        self._sure = self._sure + 1 if speech and is_sure else 0
        if self._sure >= self._likely_windows:
            self._is_likely = True
        elif self._silent >= self._OVER_WINDOWS:
            self._is_likely = False

    def _move_on(self, *, speech: bool) -> None:
        pending = VADState.STARTING if speech else VADState.STOPPING
        settled = VADState.SPEAKING if speech else VADState.QUIET
        other = VADState.STOPPING if speech else VADState.STARTING
        wait = self.params.start_secs if speech else self.params.stop_secs
        self._spoken += speech
        if self._state in (settled, other):
            # Nothing new, or a change that did not last.
            self._settle(settled)
            return
        self._windows += 1
        done = self._windows >= _windows_of(wait)
        if done:
            self._settle(settled)
        else:
            self._state = pending

    def _settle(self, state: VADState) -> None:
        if state is VADState.QUIET and self.is_certain:
            self._is_likely = False
        self._state = state
        self._windows = 0
        if state is VADState.QUIET and not self._is_likely:
            self._spoken = 0


def _windows_of(secs: float) -> int:
    return max(1, round(secs / _WINDOW_SECS))


class PhoneVAD(VADProcessor):
    """Tells the pipeline when the caller speaks. Stands right behind the transport's input.

    Besides Pipecat's frames, and unless it has another analyzer, it pushes a
    :class:`twilio_frames.frames.CallerSpeakingFrame` as soon as speech is likely, when it is
    certain and after each tenth of a second of it,
    :class:`twilio_frames.frames.CallerPausedFrame` while the caller pauses, and a
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
        **kwargs: Pipecat's own.
    """

    _PROGRESS_SECS = 0.1
    """How much more has to be spoken to be told of."""
    _SILENCE_SECS = 0.06
    """How much longer it has to be silent."""

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
        self._told_secs = 0.0
        self._told_silence = 0.0
        self._told_certain = False
        super().__init__(vad_analyzer=vad_analyzer or analyzer, **kwargs)

    @property
    def learned_pause(self) -> LearnedPause:
        """What has been learned of the caller's pauses by now."""
        return self._turns.learned

    async def setup(self, setup: FrameProcessorSetup):
        """Builds the models, off the event loop, if this is the process's first call."""
        await super().setup(setup)
        if self._analyzer is not None:
            await warm_up()
        await self._turns.set_up()

    async def cleanup(self):
        """Lets go of the analyzers."""
        await super().cleanup()
        await self._turns.clean_up()

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        """Forwards a frame, and tells what is heard in it."""
        if self._analyzer is not None and isinstance(frame, MulawInputFrame):
            self._analyzer.bot = frame.bot
        if isinstance(frame, VADParamsUpdateFrame):
            # What is set is kept to, as where ``params`` are given.
            self._turns.keep_to_pause()
        await super().process_frame(frame, direction)
        if self._analyzer is None:
            return
        if isinstance(frame, InputAudioRawFrame):
            await self._tell(self._analyzer)
            await self._turns.hear(frame.audio)
        else:
            self._turns.note(frame)

    async def _tell(self, heard: PhoneVADAnalyzer) -> None:
        speech_secs, silence_secs = heard.speech_secs, heard.silence_secs
        if speech_secs == 0.0:
            await self._tell_over(silence_secs)
        elif self._is_news(speech_secs, is_certain=heard.is_certain):
            self._told_secs, self._told_certain = speech_secs, heard.is_certain
            await self.push_frame(CallerSpeakingFrame(speech_secs, heard.is_certain))
        if not heard.is_certain or silence_secs < self._told_silence:
            self._told_silence = 0.0
        elif silence_secs - self._told_silence >= self._SILENCE_SECS:
            self._told_silence = silence_secs
            await self.push_frame(CallerPausedFrame(speech_secs, silence_secs))

    def _is_news(self, speech_secs: float, *, is_certain: bool) -> bool:
        return (
            self._told_secs == 0.0
            or is_certain is not self._told_certain
            or speech_secs - self._told_secs >= self._PROGRESS_SECS
        )

    async def _tell_over(self, silence_secs: float) -> None:
        if self._told_secs > 0.0 and not self._told_certain:
            await self.push_frame(CallerPausedFrame(self._told_secs, silence_secs, False))
        self._told_secs, self._told_certain = 0.0, False
