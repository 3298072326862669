"""When the caller begins and ends to speak."""

import numpy as np
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams, VADState
from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup

from twilio_frames.audio import EchoGate, pcm_level
from twilio_frames.frames import CallerSpeakingFrame, MulawInputFrame
from twilio_frames.processors.silero import (
    MOST_WINDOWS,
    SAMPLE_RATE,
    WINDOW,
    StreamState,
    shared_batch,
    warm_up,
)

_WINDOW_SECS = WINDOW / SAMPLE_RATE
_WINDOW_BYTES = WINDOW * 2
_PROGRESS_SECS = 0.1

ECHO_MARGIN = 12.0
"""By how many dB the bot's echo is quieter than the bot, at least."""


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
        echo_margin: What is so many dB quieter than the bot was just before is its echo, not
            speech; None to take everything as it sounds.
    """

    def __init__(self, *, params: VADParams | None = None, echo_margin: float | None = ECHO_MARGIN):
        self._state = VADState.QUIET
        self._stream = StreamState()
        self._audio = bytearray()
        self._windows = 0
        self._spoken = 0
        self._gate = None if echo_margin is None else EchoGate(echo_margin)
        self.bot_level: float | None = None
        """How loud the bot was where its echo would be in the audio to come; None if silent."""
        super().__init__(sample_rate=SAMPLE_RATE, params=params or phone_vad_params())

    @property
    def speech_secs(self) -> float:
        """How much was said since the onset of speech, without pauses; 0.0 in silence."""
        is_speaking = self._state in (VADState.SPEAKING, VADState.STOPPING)
        return self._spoken * _WINDOW_SECS if is_speaking else 0.0

    def num_frames_required(self) -> int:
        """Samples the model looks at in one step."""
        return WINDOW

    def voice_confidence(self, buffer: bytes) -> float:
        """Not in use: the windows of all calls are judged together."""
        raise NotImplementedError("expected analyze_audio() to be called: it runs the shared model")

    def set_params(self, params: VADParams):
        """Takes other thresholds and times, and is quiet until it hears speech anew."""
        super().set_params(params)
        self._state = VADState.QUIET
        self._windows = self._spoken = 0

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
                window = audio[begin : begin + _WINDOW_BYTES]
                self._move_on(speech=self._is_caller(window, probability))
        return self._state

    def _is_caller(self, window: bytes, probability: float) -> bool:
        is_speech = probability >= self.params.confidence
        if self._gate is None:
            return is_speech
        is_echo = self._gate.is_echo(pcm_level(window), self.bot_level, is_speech=is_speech)
        return is_speech and not is_echo

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
        done = self._windows >= max(1, round(wait / _WINDOW_SECS))
        if done:
            self._settle(settled)
        else:
            self._state = pending

    def _settle(self, state: VADState) -> None:
        self._state = state
        self._windows = 0
        if state is VADState.QUIET:
            self._spoken = 0


class PhoneVAD(VADProcessor):
    """Tells the pipeline when the caller speaks. Stands right behind the transport's input.

    Besides Pipecat's frames it pushes a :class:`twilio_frames.frames.CallerSpeakingFrame` at the
    onset of speech and after each tenth of a second of it, unless it has another analyzer.

    Args:
        params: Thresholds and times, by default :func:`phone_vad_params`.
        echo_margin: What is so many dB quieter than the bot was just before is its echo, not
            speech; None to take everything as it sounds.
        vad_analyzer: Another analyzer, in the place of the shared one.
        **kwargs: Pipecat's own.
    """

    def __init__(
        self,
        *,
        params: VADParams | None = None,
        echo_margin: float | None = ECHO_MARGIN,
        vad_analyzer: VADAnalyzer | None = None,
        **kwargs,
    ):
        analyzer = PhoneVADAnalyzer(params=params, echo_margin=echo_margin)
        self._analyzer = analyzer if vad_analyzer is None else None
        self._told_secs = 0.0
        super().__init__(vad_analyzer=vad_analyzer or analyzer, **kwargs)

    async def setup(self, setup: FrameProcessorSetup):
        """Builds the model, off the event loop, if this is the process's first call."""
        await super().setup(setup)
        if self._analyzer is not None:
            await warm_up()

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        """Forwards a frame, and tells what is heard in it."""
        if self._analyzer is not None and isinstance(frame, MulawInputFrame):
            self._analyzer.bot_level = frame.bot_level
        await super().process_frame(frame, direction)
        if self._analyzer is not None and isinstance(frame, InputAudioRawFrame):
            await self._tell_progress(self._analyzer.speech_secs)

    async def _tell_progress(self, speech_secs: float) -> None:
        if speech_secs == 0.0:
            self._told_secs = 0.0
        elif self._told_secs == 0.0 or speech_secs - self._told_secs >= _PROGRESS_SECS:
            self._told_secs = speech_secs
            await self.push_frame(CallerSpeakingFrame(speech_secs=speech_secs))
