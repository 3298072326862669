"""What the caller said and nobody has understood yet."""

from collections import deque

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

_BYTES_PER_SAMPLE = 2


class UnansweredSpeech:
    """Keeps the caller's latest audio, and where the VAD heard speech in it.

    Args:
        keep_secs: How much of speech that was not answered is kept; the oldest goes first.
        before_secs: How much of the time before speech is kept.
        overlap_secs: How much is kept where words come while the caller goes on.
    """

    def __init__(
        self, *, keep_secs: float = 15.0, before_secs: float = 1.0, overlap_secs: float = 0.5
    ):
        self._keep_secs = keep_secs
        self._before_secs = before_secs
        self._overlap_secs = overlap_secs
        self._frames: deque[Frame] = deque()
        self._secs = 0.0
        self._began: VADUserStartedSpeakingFrame | None = None
        self._speech_began_at = 0.0
        self._now = 0.0
        self.is_unanswered = False
        """Whether there is speech that no words have come for."""
        self.speech_secs = 0.0
        """How long that speech is so far, until the VAD had heard its end."""

    @property
    def is_speaking(self) -> bool:
        """Whether the caller is speaking, as the VAD hears it."""
        return self._began is not None

    def take(self, frame: Frame) -> None:
        """Keeps a frame of audio or of the VAD; any other is no matter."""
        match frame:
            case InputAudioRawFrame():
                self._frames.append(frame)
                self._secs = round(self._secs + _secs(frame), 6)
                self._now += _secs(frame)
            case VADUserStartedSpeakingFrame():
                self._began, self._speech_began_at = frame, self._now
                self.is_unanswered = True
                self._frames.append(frame)
            case VADUserStoppedSpeakingFrame():
                self._frames.append(frame)
                self._stop()
            case _:
                return
        self._shorten(self._keep_secs if self.is_unanswered else self._before_secs)

    def _stop(self) -> None:
        if self._began is not None:
            self.speech_secs += self._now - self._speech_began_at
        self._began = None

    def answer(self) -> None:
        """Words came for what was said so far."""
        self.speech_secs = 0.0
        self._speech_began_at = self._now
        if self.is_speaking:
            self._shorten(self._overlap_secs)
        else:
            self.is_unanswered = False
            self._drop_speech()
            self._shorten(self._before_secs)

    def _drop_speech(self) -> None:
        while any(isinstance(frame, VADUserStoppedSpeakingFrame) for frame in self._frames):
            self._drop_first()

    def frames(self) -> list[Frame]:
        """All that is kept, as a service has to be given it."""
        frames = list(self._frames)
        if self._began is not None and self._began not in frames:
            frames.insert(0, self._began)
        return frames

    def _shorten(self, secs: float) -> None:
        while self._frames and self._secs > secs:
            self._drop_first()

    def _drop_first(self) -> None:
        frame = self._frames.popleft()
        if isinstance(frame, InputAudioRawFrame):
            # Sums of floats would be off by a frame at times.
            self._secs = round(self._secs - _secs(frame), 6)


def _secs(frame: InputAudioRawFrame) -> float:
    return len(frame.audio) / (_BYTES_PER_SAMPLE * frame.num_channels * frame.sample_rate)
