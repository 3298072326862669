"""The server's own voice activity detection, by energy. Pure."""

from dataclasses import dataclass

from twilio_frames.testing.vendors.realtime.formats import AudioFormat


@dataclass(frozen=True, slots=True)
class _Detection:
    """How speech is told from silence."""

    block_ms: int = 20
    # The level at which sound counts as speech where the threshold is 0.5.
    loud_at_half: float = 600.0
    onset_blocks: int = 3


_DETECTION = _Detection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """Speech has begun.

    Parameters:
        at_ms: When, from the first byte of the session, the padding before it included.
    """

    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Speech has ended.

    Parameters:
        at_ms: When, from the first byte of the session.
    """

    at_ms: int


class ServerVAD:
    """Tells speech from silence.

    Args:
        format: Of the audio.
        settings: The session's ``turn_detection``.
    """

    def __init__(self, format: AudioFormat, settings: dict[str, object]):
        self._format = format
        self._loud = 2 * _DETECTION.loud_at_half * float(str(settings.get("threshold") or 0.5))
        self._padding_ms = int(str(settings.get("prefix_padding_ms") or 300))
        self._silence_ms = int(str(settings.get("silence_duration_ms") or 500))
        self._rest = b""
        self._now_ms = 0
        self._loud_blocks = 0
        self._silent_ms = 0
        self.is_speech = False

    def begin_at(self, now_ms: int) -> None:
        """Counts from a moment of the session."""
        self._now_ms = now_ms

    def hear(self, audio: bytes) -> list[Onset | Pause]:
        """Takes in audio; gives what it says."""
        self._rest += audio
        size = _DETECTION.block_ms * self._format.bytes_a_millisecond
        found: list[Onset | Pause] = []
        while len(self._rest) >= size:
            block, self._rest = self._rest[:size], self._rest[size:]
            self._now_ms += _DETECTION.block_ms
            self._take(self._format.level(block) > self._loud, found)
        return found

    def _take(self, is_loud: bool, found: list[Onset | Pause]) -> None:
        self._loud_blocks = self._loud_blocks + 1 if is_loud else 0
        self._silent_ms = 0 if is_loud else self._silent_ms + _DETECTION.block_ms
        if not self.is_speech and self._loud_blocks >= _DETECTION.onset_blocks:
            self.is_speech = True
            spoken_ms = _DETECTION.onset_blocks * _DETECTION.block_ms
            found.append(Onset(at_ms=max(0, self._now_ms - spoken_ms - self._padding_ms)))
        elif self.is_speech and self._silent_ms >= self._silence_ms:
            self.is_speech = False
            found.append(Pause(at_ms=self._now_ms))
