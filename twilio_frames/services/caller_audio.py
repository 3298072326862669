"""The caller's audio on its way to a model that hears: in batches, and kept until answered."""

from collections.abc import Iterator

from twilio_frames.audio import SAMPLE_RATE

_LONGEST_KEPT = 60 * SAMPLE_RATE
_PADDING_SECS = 0.3
_UNMARKED_SECS = 0.5


class CallerAudio:
    """Mu-law audio of the caller, counted from the call's begin.

    Args:
        flows: Whether all of it goes to the model, for a server that detects turns itself; or only
            that of turns, from a moment before their first sound.
        batch_secs: How much goes in one message.
    """

    def __init__(self, *, flows: bool, batch_secs: float):
        self.flows = flows
        self.in_turn = False
        """Whether the caller's turn is open."""
        self._batch = max(1, round(batch_secs * SAMPLE_RATE))
        self._kept = bytearray()
        self._heard = 0
        self._sent = 0
        self._onset: int | None = None
        self._turn: int | None = None
        self._given: tuple[int, int] | None = None
        self._end = 0

    def hear(self, mulaw: bytes) -> None:
        """Takes in audio."""
        self._kept += mulaw
        self._heard += len(mulaw)
        del self._kept[: max(0, len(self._kept) - _LONGEST_KEPT)]

    def mark_onset(self, seconds_ago: float = 0.0) -> None:
        """Notes that speech began, unless that is known."""
        if self._onset is None:
            before = round((seconds_ago + _PADDING_SECS) * SAMPLE_RATE)
            self._onset = max(0, self._heard - before)

    @property
    def onset_is_known(self) -> bool:
        """Whether speech has begun that may be a turn."""
        return self._onset is not None

    def forget_onset(self) -> None:
        """Notes that it was no turn: what was said stays here."""
        self._onset = None

    def take_snippet(self) -> tuple[int, int]:
        """Where that lies which was said so far of what may be a turn, and not taken before."""
        begin = self._begin() if self._given is None else max(self._given[1], self._begin())
        first = self._begin() if self._given is None else self._given[0]
        self._given = first, self._heard
        return begin, self._heard

    def drop_snippets(self) -> None:
        """Notes that what was taken is nothing to the model any more."""
        self._given = None

    def begin_turn(self) -> None:
        """The turn has begun: from its first sound on, the audio is the model's.

        Of what was taken as snippets it is so already.
        """
        self._turn, sent = self._given or (self._begin(), self._begin())
        self._onset = self._given = None
        self.in_turn = True
        if not self.flows:
            self._sent = sent

    def _begin(self) -> int:
        unmarked = self._heard - round(_UNMARKED_SECS * SAMPLE_RATE)
        return max(0, unmarked if self._onset is None else self._onset)

    def end_turn(self, at: int | None = None) -> None:
        """The turn is over; its audio is kept until it is answered.

        Args:
            at: Where its last piece ends, if only silence follows that.
        """
        self.in_turn = False
        self._onset = None
        self._end = self._heard if at is None else at

    def answered(self) -> None:
        """The model has taken the turn in."""
        if not self.in_turn:
            self._turn = None

    @property
    def is_unanswered(self) -> bool:
        """Whether there is a turn that the model has not answered."""
        return self._turn is not None

    def start_over(self, behind: int | None = None) -> None:
        """Sends once more what a model that knows nothing has to hear: the turn, and the rest.

        Args:
            behind: Up to where the turn is told in pieces; None if it is not.
        """
        if self._turn is not None:
            self._sent = self._turn if behind is None else behind
        elif not self.flows:
            self._sent = self._end = self._heard

    @property
    def is_sent(self) -> bool:
        """Whether all of the turn has been sent that is over."""
        return self._sent >= self._end

    def sent_behind(self, piece_end: int | None) -> tuple[int, int]:
        """Where that lies which was sent of the turn, behind the end of a piece."""
        begin = piece_end if piece_end is not None else self._turn
        return self._sent if begin is None else begin, self._sent

    def batches(self, *, rest: bool = False) -> Iterator[bytes]:
        """The audio to be sent, a message each.

        Args:
            rest: Whether the last one may be shorter.
        """
        end = self._heard if self.flows or self.in_turn else self._end
        self._sent = max(self._sent, self._heard - len(self._kept))
        while (left := end - self._sent) >= (1 if rest else self._batch):
            begin = self._sent
            self._sent += min(left, self._batch)
            yield self.between(begin, self._sent)

    def between(self, begin: int, end: int) -> bytes:
        """The audio between two places, as far as it is kept."""
        first = self._heard - len(self._kept)
        return bytes(self._kept[max(0, begin - first) : max(0, end - first)])
