"""How much silence ends what the caller says: always the same, as they pause, or as they sound."""

from dataclasses import dataclass
from enum import StrEnum

from pipecat.audio.vad.vad_analyzer import VADParams

from twilio_frames.errors import ConfigurationError
from twilio_frames.errors.settings import check_settings
from twilio_frames.processors.turns.learned_pause import LearnedPause

__all__ = ["Endpointing", "TurnEndTimes"]


class Endpointing(StrEnum):
    """What ends the caller's turn."""

    PAUSE = "pause"
    """Silence of one length: the VAD's ``stop_secs``."""
    LEARNED_PAUSE = "learned pause"
    """Silence that is longer for callers who pause within what they say, shorter for others. See
    :class:`twilio_frames.processors.turns.learned_pause.LearnedPause`."""
    SMART_TURN = "smart turn"
    """Little silence where the caller sounds as if they were done, much where they do not, by the
    Smart Turn model; the VAD's ``stop_secs`` where that is in doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEndTimes:
    """How a pause is judged.

    Parameters:
        ask_secs: The silence after which Smart Turn is asked, once a pause.
        sure: From this probability on the turn is over as soon as Smart Turn has said so.
        likely: From this one on it is likely over. Below, the caller is expected to go on.
        going_on_secs: The silence that ends the turn of a caller who was expected to go on.
        likely_secs: The silence after which a turn is likely over where Smart Turn does not say.
    """

    ask_secs: float = 0.2
    sure: float = 0.9
    likely: float = 0.5
    going_on_secs: float = 1.2
    likely_secs: float = 0.3

    def __post_init__(self) -> None:
        check_settings(self, above_zero=("ask_secs", "going_on_secs", "likely_secs"))
        if not 0.0 < self.likely <= self.sure <= 1.0:
            raise ConfigurationError(
                f"expected 0 < likely <= sure <= 1, got {self.likely} and {self.sure}"
            )


ECHO_MARGIN = 6.0
"""By how many dB the bot's echo is quieter than the bot, at least.

What is louder is never taken for one, and so is known for the caller's at once. What is quieter is
compared with what the bot said: see :mod:`twilio_frames.audio.echo_gate`.
"""

LIKELY_SECS = 0.03
"""How much of what is almost certainly speech is enough to hold the bot: one window.

The VAD is certain at its ``start_secs`` of 0.16. One window of 0.85 comes 105 ms ahead of that on
the mean, with recorded people as with synthetic voices; with people, hardly ever in vain. Of
made-up coughs one in fifty holds the bot in vain, of cleared throats one in twenty. Two windows in
a row of 0.8 come 25 ms later, and are in vain more often: the model remembers what it heard, so one
window of which it is sure tells more than two of which it is not. ``bench/onsets.py`` measures it.
"""

LIKELY_CONFIDENCE = 0.85
"""How certain the model has to be of it."""


def phone_vad_params() -> VADParams:
    """Good values for speech over a telephone.

    Levels differ by 30 dB between telephones, so loudness decides nothing. People pause for half a
    second within a sentence when they think.
    """
    return VADParams(confidence=0.6, start_secs=0.16, stop_secs=0.6, min_volume=0.0)


class EndpointPolicy:
    """Follows one caller's speech and silence, and says how much silence ends it.

    Pure: it is told what the VAD hears after each piece of audio, and counts time by that audio.

    Args:
        by: What ends the turn.
        times: How a pause is judged.
        learned: What has been learned of the caller's pauses; kept up to date.
    """

    _SHORTEST_PAUSE_SECS: float = 0.2
    """What is shorter is a gap between words, from which nothing is learned."""
    _WENT_ON_SECS: float = 1.5
    """Who speaks again within so long was cut off."""
    _REACTION_SECS: float = 0.7
    """Who speaks up sooner than that does not answer what the bot says, but goes on."""

    def __init__(
        self,
        by: Endpointing = Endpointing.PAUSE,
        *,
        times: TurnEndTimes | None = None,
        learned: LearnedPause | None = None,
    ):
        self._by = by
        self._times = times or TurnEndTimes()
        self._learned = learned or LearnedPause()
        self._now = 0.0
        self._speaks = False
        self._silence_secs = 0.0
        self._ended_at: float | None = None
        self._bot_began_at: float | None = None
        self._bot_is_heard = False
        self._asked = self._answered = self._told = False
        self._probability: float | None = None
        self.pause = 0
        """The number of the pause that is going on, or was last."""

    def keep_to_pause(self) -> None:
        """Lets the pause that is set end turns from here on, and nothing else."""
        self._by = Endpointing.PAUSE

    @property
    def learned(self) -> LearnedPause:
        """What has been learned of the caller's pauses."""
        return self._learned

    @property
    def speaks(self) -> bool:
        """Whether the caller is within what they say, pauses included."""
        return self._speaks

    @property
    def silence_secs(self) -> float:
        """How long they have been silent."""
        return self._silence_secs

    @property
    def probability(self) -> float | None:
        """How likely it is that the turn ends with this pause; None where that is not known."""
        return self._probability

    def silence_needed(self, pause_secs: float) -> float:
        """How much silence ends the turn, by what is known by now.

        Args:
            pause_secs: How much ends it where nothing else is known.
        """
        if self._by is Endpointing.PAUSE:
            return pause_secs
        if self._by is Endpointing.LEARNED_PAUSE:
            return self._learned.secs
        return self._silence_by_probability(pause_secs)

    def _silence_by_probability(self, pause_secs: float) -> float:
        doubts = self._learned.was_cut_off_lately
        if doubts:
            # Some callers sound done whenever they think.
            pause_secs = max(pause_secs, self._learned.secs)
        if self._probability is None:
            return pause_secs
        if self._probability >= self._times.sure and not doubts:
            return min(pause_secs, self._times.ask_secs)
        if self._probability >= self._times.likely or self._bot_is_heard:
            # A bot that is held waits for this in silence.
            return pause_secs
        return max(pause_secs, self._times.going_on_secs)

    def hear(
        self, audio_secs: float, *, speaks: bool, speech_secs: float, silence_secs: float
    ) -> None:
        """Takes in what the VAD heard in the next piece of audio.

        Args:
            audio_secs: How long the piece was.
            speaks: Whether the caller is within what they say, pauses included.
            speech_secs: How much was spoken since the onset.
            silence_secs: How long it has been silent since.
        """
        self._now += audio_secs
        if speaks and not self._speaks:
            self._begin(self._now - speech_secs)
        elif self._speaks and not speaks:
            # What is said beside the bot, such as 'uh-huh', and has not silenced it is no turn.
            self._ended_at = None if self._bot_is_heard else self._now - silence_secs
        elif speaks and silence_secs < self._silence_secs:
            self._go_on()
        self._speaks = speaks
        self._silence_secs = silence_secs

    def _begin(self, began_at: float) -> None:
        if self._ended_at is not None:
            if self._was_cut_off(began_at, self._ended_at):
                self._learned.cut_off(began_at - self._ended_at)
            else:
                self._learned.turn_ended()
        self._ended_at = self._bot_began_at = None
        self._next_pause()

    def _was_cut_off(self, began_at: float, ended_at: float) -> bool:
        bot_began_at = self._bot_began_at
        is_reaction = bot_began_at is not None and began_at - bot_began_at > self._REACTION_SECS
        return began_at - ended_at <= self._WENT_ON_SECS and not is_reaction

    def _go_on(self) -> None:
        if self._silence_secs >= self._SHORTEST_PAUSE_SECS:
            self._learned.paused(self._silence_secs)
        self._next_pause()

    def _next_pause(self) -> None:
        self.pause += 1
        self._asked = self._answered = self._told = False
        self._probability = None

    def asks(self) -> bool:
        """Whether Smart Turn is to be asked now; True once a pause."""
        if self._by is not Endpointing.SMART_TURN or self._asked or not self._speaks:
            return False
        self._asked = self._silence_secs >= self._times.ask_secs
        return self._asked

    def take_answer(self, pause: int, probability: float | None) -> None:
        """What Smart Turn said of a pause; None if it did not answer."""
        if pause == self.pause:
            self._answered, self._probability = True, probability

    def is_news(self) -> bool:
        """Whether the turn has become likely to be over; True once a pause."""
        if self._told or not self._speaks:
            return False
        if self._probability is not None:
            self._told = self._probability >= self._times.likely
        elif self._answered or self._by is not Endpointing.SMART_TURN:
            self._told = self._silence_secs >= self._times.likely_secs
        return self._told

    def bot_started(self) -> None:
        """The bot is heard."""
        self._bot_is_heard = True
        if self._bot_began_at is None:
            self._bot_began_at = self._now

    def bot_stopped(self) -> None:
        """The bot is silent again."""
        self._bot_is_heard = False
