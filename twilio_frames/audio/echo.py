"""The bot's own voice, coming back from the caller's telephone.

Twilio cancels no echo. What comes back is what was sent, later and quieter: a handset's echo is at
-30 dB and below, a speakerphone's at some -20 dB, after the line's delay and a little of the
room's. So sound that is that much quieter than what the bot said just before is taken for its echo,
while a caller who speaks over the bot is about as loud as the bot, or louder than that by far.

No I/O happens here; the time is passed in, in seconds of any monotonic clock.
"""

from collections import deque

from twilio_frames.audio.mulaw import SAMPLE_RATE, decode_mulaw, pcm_level

_PIECE = 160
_PIECE_SECS = _PIECE / SAMPLE_RATE
_SILENCE = -60.0
_LONGEST_SECS = 60.0
_HANGOVER_WINDOWS = 6
_WINDOWS_TO_KNOW_A_VOICE = 15
_VOICE_SHARE = 0.05
_BELOW_VOICE = 6.0


class EchoReference:
    """How loud the bot is, was and will be at the caller's ear.

    Remembers one level for each 20 ms, and no more than a minute of them.
    """

    def __init__(self) -> None:
        self._levels: deque[tuple[float, float]] = deque(maxlen=round(_LONGEST_SECS / _PIECE_SECS))

    def note(self, mulaw: bytes, plays_at: float) -> None:
        """Notes audio that was sent.

        Args:
            mulaw: The audio.
            plays_at: When it begins to be played, behind all that was noted before.
        """
        for begin in range(0, len(mulaw), _PIECE):
            level = pcm_level(decode_mulaw(mulaw[begin : begin + _PIECE]))
            if level > _SILENCE:
                self._levels.append((plays_at + begin / SAMPLE_RATE, level))

    def cut(self, at: float) -> None:
        """Forgets what would have been played from a time on: it was thrown away."""
        while self._levels and self._levels[-1][0] >= at:
            self._levels.pop()

    def loudest(self, begin: float, end: float) -> float | None:
        """The level of the loudest 20 ms that were played in a stretch of time, dB of full scale.

        Args:
            begin: Where it begins; what was played before it is forgotten.
            end: Where it ends.

        Returns:
            None if the bot was silent.
        """
        while self._levels and self._levels[0][0] + _PIECE_SECS <= begin:
            self._levels.popleft()
        loudest = None
        for starts, level in self._levels:
            if starts >= end:
                break
            loudest = level if loudest is None else max(loudest, level)
        return loudest


class EchoGate:
    """Tells the caller's voice from the bot's echo, by loudness.

    A telephone with a quiet microphone makes its caller quiet, and the echo with it. So once the
    caller has been heard while the bot was silent, sound that is nearly as loud as that voice is
    no echo, however loud the bot is.

    Args:
        margin: How much quieter than the bot its echo is at least, dB.
    """

    def __init__(self, margin: float):
        self._margin = margin
        self._recent: deque[float] = deque(maxlen=_HANGOVER_WINDOWS)
        self._voice = 0.0
        self._windows = 0

    def is_echo(self, level: float, bot_level: float | None, *, is_speech: bool) -> bool:
        """Whether a window of the caller's audio holds nothing louder than an echo.

        A voice has quiet sounds between its loud ones: it is heard on for a moment.

        Args:
            level: How loud the window is, dB of full scale.
            bot_level: How loud the bot was when it could have been the cause; None if it was
                silent.
            is_speech: Whether the window sounds like speech, anybody's.
        """
        self._recent.append(level)
        if bot_level is None:
            if is_speech:
                self._learn(level)
            return False
        threshold = bot_level - self._margin
        if self._windows >= _WINDOWS_TO_KNOW_A_VOICE:
            threshold = min(threshold, self._voice - _BELOW_VOICE)
        return max(self._recent) < threshold

    def _learn(self, level: float) -> None:
        self._windows += 1
        share = max(_VOICE_SHARE, 1 / self._windows)
        self._voice += share * (max(level, _SILENCE) - self._voice)
