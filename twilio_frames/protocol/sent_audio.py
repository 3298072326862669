"""Which of the bot's audio lies where on the line.

Two kinds of places are counted in bytes. On the *line*: what has been sent since the stream began;
marks and ``clear`` tell of it (``twilio_frames.protocol.playback``). In the *output queue*: what
the bot has to say; words lie on it (``twilio_frames.protocol.output_queue``). They part where a
background is sent between what is said, and where what was cleared is sent again. Here is the one
place that knows both.

No I/O happens here, and no clock is read.
"""

from collections import deque
from dataclasses import dataclass, field

from twilio_frames.protocol.messages import BYTES_PER_SECOND


@dataclass(slots=True)
class Stretch:
    """Audio that was sent in one message.

    Parameters:
        line: Where it begins on the line.
        queue: Where in the output queue it is from; for a background, where the queue waits.
        audio: Mu-law.
        plays_at: When its first byte plays, but for the line's delay.
        is_speech: Whether the bot speaks in it.
        is_queued: Whether it is from the queue; a background is not.
    """

    line: int
    queue: int
    audio: bytes = field(repr=False)
    plays_at: float
    is_speech: bool = True
    is_queued: bool = True

    @property
    def queue_end(self) -> int:
        """Up to where in the output queue it goes."""
        return self.queue + len(self.audio) * self.is_queued


class SentAudio:
    """What has been sent and not been heard, in the order of the line."""

    def __init__(self) -> None:
        self._stretches: deque[Stretch] = deque()

    def __len__(self) -> int:
        """How many stretches have not been heard to their ends."""
        return len(self._stretches)

    @property
    def ends_in_speech(self) -> bool:
        """Whether the last that was sent is speech, and has not been heard to its end."""
        return bool(self._stretches) and self._stretches[-1].is_speech

    def add(self, stretch: Stretch) -> None:
        """Notes audio, behind all that was noted before."""
        self._stretches.append(stretch)

    def forget(self) -> None:
        """Forgets what was not heard: it was thrown away."""
        self._stretches.clear()

    def queue_position(self, line: int) -> int | None:
        """Where in the output queue a place on the line lies; None if nothing was sent there.

        Args:
            line: The place.
        """
        for stretch in self._stretches:
            if stretch.line <= line <= stretch.line + len(stretch.audio):
                return stretch.queue + (line - stretch.line) * stretch.is_queued
        return None

    def hear(self, line: int) -> list[Stretch]:
        """Takes what has been heard by now, and was not taken before.

        Args:
            line: Up to where the line has been heard.

        Returns:
            What was heard, in order, a message cut in two where need be; nothing twice.
        """
        heard: list[Stretch] = []
        while self._stretches and line > self._stretches[0].line:
            first = self._stretches[0]
            length = line - first.line
            if length < len(first.audio):
                heard.append(_part(first, 0, length))
                self._stretches[0] = _part(first, length, len(first.audio))
                break
            heard.append(self._stretches.popleft())
        return heard


def _part(stretch: Stretch, begin: int, end: int) -> Stretch:
    return Stretch(
        stretch.line + begin,
        stretch.queue + begin * stretch.is_queued,
        stretch.audio[begin:end],
        stretch.plays_at + begin / BYTES_PER_SECOND,
        stretch.is_speech,
        stretch.is_queued,
    )
