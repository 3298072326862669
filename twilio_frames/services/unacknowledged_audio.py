"""The caller's audio until a recogniser has answered for it.

Theory of operation
-------------------
All audio has one time line: bytes of mu-law since the first. A connection to a recogniser begins
somewhere on it, and gives the times of its results from there. What a final result covers is
answered and forgotten; everything behind it is kept, sent or not. A connection that takes the place
of a broken one begins where the last final result ended. So a word is either in a final result that
came, or in the audio that is sent next, never in neither and never in both.
"""

from twilio_frames.audio import SAMPLE_RATE

__all__ = ["UnansweredAudio"]


class UnansweredAudio:
    """Audio that has to be sent, or sent again.

    Args:
        most_secs: How much is kept; of more than that the oldest is dropped.
    """

    def __init__(self, *, most_secs: float):
        self._most = round(most_secs * SAMPLE_RATE)
        self._audio = bytearray()
        self._begin = 0
        self._sent = 0
        self._stream = 0
        self.dropped = 0
        """Bytes that were dropped unanswered since the connection began."""

    @property
    def end(self) -> int:
        """Bytes that have come, the answered and the dropped included."""
        return self._begin + len(self._audio)

    @property
    def sent(self) -> int:
        """How far on the time line the connection has got."""
        return self._sent

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent."""
        return self.end - self._sent

    @property
    def stream_begin(self) -> float:
        """Where on the time line the connection's own time begins, seconds."""
        return self._stream / SAMPLE_RATE

    def add(self, mulaw: bytes) -> None:
        """Takes in what the caller said next."""
        self._audio += mulaw
        surplus = len(self._audio) - self._most
        if surplus > 0:
            self.dropped += surplus
            self._forget(self._begin + surplus)

    def begin_stream(self) -> None:
        """A new connection begins: it is sent all that is unanswered."""
        self._stream = self._sent = self._begin
        self.dropped = 0

    def next(self, most: int) -> bytes:
        """What is to be sent next; it counts as sent.

        Args:
            most: How many bytes at most.
        """
        at = self._sent - self._begin
        piece = bytes(self._audio[at : at + most])
        self._sent += len(piece)
        return piece

    def answered(self, seconds: float) -> None:
        """A result covers the connection's audio up to there.

        Args:
            seconds: By the connection's own time.
        """
        self._forget(min(self._stream + round(seconds * SAMPLE_RATE), self._sent))

    def clear(self) -> None:
        """Forgets all there is."""
        self._forget(self.end)

    def _forget(self, position: int) -> None:
        if position > self._begin:
            del self._audio[: position - self._begin]
            self._begin = position
            self._sent = max(self._sent, position)
