"""Pipecat's way to end a turn by silence, as it is used with this package's VAD."""

from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy

__all__ = ["PhoneTurnStopStrategy"]


class PhoneTurnStopStrategy(SpeechTimeoutUserTurnStopStrategy):
    """Ends the turn as Pipecat's speech-timeout strategy does, without its warning on each call.

    That warning says that ``stop_secs`` of the VAD is not the 0.2 for which Pipecat's latencies of
    recognisers were measured. On a phone line it is longer on purpose, and the time that a
    recogniser is waited for counts from the end of speech all the same.
    """

    # Pipecat keeps there whether it has warned, and forgets it when a recogniser tells of itself.
    @property
    def _stop_secs_warned(self) -> bool:
        return True

    @_stop_secs_warned.setter
    def _stop_secs_warned(self, warned: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride] It stays so.
        pass
