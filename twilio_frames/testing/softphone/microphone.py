"""What somebody says into a microphone, far away and on another clock, as frames of the line. Pure.

Theory of operation
-------------------
The line takes a frame every 20 ms. What the microphone hears comes over a network, in lumps where a
browser was busy, and by the clock of a sound card. So some of it waits before it is said: little,
for all of it is time that an answer comes later. A hole that was filled too late makes more wait;
what waits without need is left out in a pause. Of what was held up for long the end is said alone.
"""

from twilio_frames.testing.callers.voice import FRAME_BYTES, Voice, audible_samples

_FEWEST, _MOST = 2, 12
"""Frames that wait before the first is said."""
_LATE = 25
"""A hole of as many frames was a pause of the sender's, a muted microphone say."""
_WINDOW = 50
"""Frames over which is seen whether some wait without need."""
_CALM = 10
"""Windows without a hole after which one frame less waits."""
_LONGEST = 25
"""Frames that may wait beyond those that are wanted."""
_QUIET = 320
"""Amplitude, 16 bit: -40 dB; a frame no louder is missed by nobody."""


class MicrophoneVoice(Voice):
    """A caller's side of the line, for somebody who speaks now.

    Args:
        noise_level: Level of the noise where nothing comes from the microphone, dB of full scale.
    """

    def __init__(self, *, noise_level: float | None = -60.0):
        super().__init__(noise_level=noise_level)
        self.holes = 0
        """How often nothing was there when something was due."""
        self._heard = bytearray()
        self._wanted = _FEWEST
        self._is_filling = True
        self._hole_at: int | None = None
        self._least, self._seen, self._calm = _LONGEST, 0, 0

    @property
    def waiting(self) -> int:
        """Bytes that wait to be said."""
        return len(self._heard)

    def hear(self, mulaw: bytes) -> None:
        """Takes what the microphone heard, mu-law of any length."""
        if self._hole_at is not None:
            if self._frames - self._hole_at < _LATE:
                self._wanted = min(self._wanted + 1, _MOST)
            self._hole_at = None
        self._heard += mulaw
        excess = len(self._heard) - (self._wanted + _LONGEST) * FRAME_BYTES
        if excess > 0:
            del self._heard[: len(self._heard) - self._wanted * FRAME_BYTES]

    def _background(self) -> bytes:
        frames = len(self._heard) // FRAME_BYTES
        if self._is_filling and frames < self._wanted:
            return super()._background()
        self._is_filling = False
        if not frames:
            self._is_filling = True
            self._hole_at = self._frames
            self.holes += 1
            self._least, self._seen, self._calm = _LONGEST, 0, 0
            return super()._background()
        frame = self._take()
        self._catch_up(frame)
        return frame

    def _take(self) -> bytes:
        frame = bytes(self._heard[:FRAME_BYTES])
        del self._heard[:FRAME_BYTES]
        return frame

    def _catch_up(self, frame: bytes) -> None:
        """Leaves a frame out where more have waited all the time than are wanted."""
        self._least = min(self._least, len(self._heard) // FRAME_BYTES)
        self._seen += 1
        if self._seen < _WINDOW:
            return
        if self._least > self._wanted and not len(audible_samples(frame, _QUIET)):
            self._take()
            self._least -= 1
        elif self._least <= self._wanted:
            self._least, self._seen, self._calm = _LONGEST, 0, self._calm + 1
            if self._calm == _CALM:
                self._wanted, self._calm = max(self._wanted - 1, _FEWEST), 0
