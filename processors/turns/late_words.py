"""Words that come while the bot is heard, of speech that was over before."""

import time

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from twilio_frames.frames import NoWordsFrame

__all__ = ["LateWords"]

LONGEST_SECS = 20.0
"""So late words may be. No recogniser of ours may take longer for an utterance."""


class LateWords:
    """Follows who speaks when, to tell words about what is heard from those that are late.

    A recogniser may take its time, or give one utterance's words in two parts. Words that come over
    the bot are no 'uh-huh' to it where nobody has spoken since it began.

    Pure, but for the clock: it is told what happens.
    """

    def __init__(self):
        self._bot_is_heard = False
        self._caller_speaks = False
        self._is_spoken_over = False
        self._ended_at: float | None = None
        self._is_owed = False

    @property
    def are_due(self) -> bool:
        """Whether words that come now are of speech that was over before the bot began."""
        ended_at = self._ended_at
        is_recent = ended_at is not None and time.monotonic() - ended_at < LONGEST_SECS
        return is_recent and self._bot_is_heard and not self._is_spoken_over

    @property
    def are_owed(self) -> bool:
        """Whether the recogniser has not told yet what was said in that speech."""
        return self.are_due and self._is_owed

    def note(self, frame: Frame) -> None:
        """Takes in a frame, once it has been dealt with."""
        match frame:
            case BotStartedSpeakingFrame():
                self._bot_is_heard = True
                self._is_spoken_over = self._caller_speaks
            case BotStoppedSpeakingFrame():
                self._bot_is_heard = False
            case VADUserStartedSpeakingFrame():
                self._caller_speaks = True
                self._is_spoken_over = self._bot_is_heard
                self._is_owed = self._is_owed or not self._bot_is_heard
            case VADUserStoppedSpeakingFrame():
                self._caller_speaks = False
                if not self._is_spoken_over:
                    self._ended_at = time.monotonic()
            case TranscriptionFrame() if not self._caller_speaks:
                self._is_owed = False
            case NoWordsFrame():
                self._is_owed = False
            case _:
                pass
