"""Tells the caller's voice from the bot's own, which comes back from the caller's telephone.

Theory of operation
-------------------
Loudness tells them apart in one direction only: what is about as loud as the bot is no echo. Below
that a soft caller and a loud echo are alike. So the shape decides: an echo moves as the bot did, a
steady delay ago (:mod:`twilio_frames.audio.likeness`). The last quarter second of the caller's
audio is compared with all places of the bot's at which its cause could be.

- Unlike every place: a caller. Short sounds are like something by chance, so how like they have to
  be, or how unlike, depends on how much has been heard; in between it is *unsure* for a moment, and
  what was unsure counts as what it turns out to be.
- Louder than anything that came back of the bot so far, where that has spoken for a while: *likely*
  a caller, for that moment. An echo may still begin in mid-call.
- Like one place: an echo, and its delay and loss are known from then on. That place is looked at
  first, where a lesser likeness will do: few places are like anything by chance.
- Like the known place, but louder than that echo is, and less like it than usual: a caller who
  speaks over the echo.
- Unlike the known place, but no louder than the echo would be: still the echo, as long as there is
  trust in it. Each such moment costs some, so that an echo that has ended, because the telephone
  cancels it by now, hides nobody for long.

No I/O happens here. It is only worked where the bot was audible and speech is heard.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from twilio_frames.audio.echo import BotAtEar, Samples
from twilio_frames.audio.likeness import Likeness, likeness
from twilio_frames.audio.mulaw import SAMPLE_RATE, pcm_level

WINDOW = 256
"""Samples that are judged at a time, 32 ms."""


@dataclass(frozen=True, slots=True)
class _EchoTuning:
    """How a window is judged; ``bench/echoes.py`` measures how well.

    Levels are in dB, lengths in windows of 32 ms unless they say otherwise.
    """

    windows: int = 8
    """How many windows are compared at a time: a quarter of a second."""
    quieter: float = 15.0
    """What is heard of a sound: its windows that are not this much quieter than its loudest."""
    alike: tuple[float, ...] = (9.0, 9.0, 0.75, 0.6, 0.5, 0.42, 0.36, 0.32, 0.28)
    """How like the bot a sound must be to be its echo, by how many windows of it were heard. Of
    callers one window in a hundred is as like by chance, of echoes one in twenty less."""
    alike_at_known: float = 0.25
    """How like it must be at the place where the echo is known to be."""
    few_windows: int = 4
    """From so many windows on, being unlike may be enough not to wait for more."""
    unlike: tuple[float, float] = (0.12, 0.02)
    """How unlike is enough: below the first, and the second more for each window heard."""
    margin_slack: float = 3.0
    """A place of the bot's must be this much louder at least; less than the margin, which is for
    peaks."""
    hangover_windows: int = 6
    """How long a caller is heard on without a look, at first."""
    longest_hangover: int = 24
    """How long after several looks in a row that found a caller."""
    near: int = SAMPLE_RATE // 50
    """Samples by which a delay may differ and be the same one: 20 ms."""
    look_each: int = 4
    """Where the echo is known well, one window of so many is looked at: sounds change more slowly.
    """
    louder: float = 6.0
    """What is this much louder than the echo that is known may be a caller over it."""
    less_alike: float = 0.8
    """And what is less like the bot than this share of the usual."""
    over_windows: int = 2
    """So many such windows in a row are a caller."""
    new: int = 4 * WINDOW
    """Samples at the end of a sound in which a new delay is looked for."""
    tail: float = 12.0
    """What is this much quieter than the loudest window is the end of a sound."""
    noise_windows: int = 64
    """The line's noise is what so many windows without speech in them were like."""
    noise_rank: float = 0.5
    """How many of those are no louder than it. Not all: the end of a sound is no noise. Nor few:
    a telephone that sends noise of its own in pauses is quieter still at times."""
    above_noise: float = 4.0
    """What is not this much louder is noise. Noise itself differs by 1 dB from window to window."""
    silent_windows: int = 32
    """So many windows without speech while the bot spoke tell what comes back of it."""
    silent_rank: float = 0.9
    """How many of those are no louder than it: all but a cough."""
    above_silent: float = 6.0
    """What is this much louder came from a caller, as long as no echo begins."""
    most_trust: int = 15
    """So often found, an echo is known well."""
    least_trust: int = 4
    """So often found, it is believed where it is not found."""


_TUNED = _EchoTuning()

_COMPARED = _TUNED.windows * WINDOW


class Heard(Enum):
    """Whose sound it is."""

    CALLER = auto()
    ECHO = auto()
    UNSURE = auto()
    LIKELY = auto()
    """Not sure yet, but likely the caller's."""


class EchoGate:
    """Judges the caller's audio, window by window.

    Args:
        margin: What is not at least so many dB quieter than the bot is no echo, unless one that
            loud is known on this line.
    """

    def __init__(self, margin: float):
        self._margin = margin
        self._windows: deque[bytes] = deque(maxlen=_TUNED.windows)
        self._levels: deque[float] = deque(maxlen=_TUNED.windows)
        self._noises: deque[float] = deque(maxlen=_TUNED.noise_windows)
        self._silences: deque[float] = deque(maxlen=_TUNED.noise_windows)
        self._echo: _KnownEcho | None = None
        self._hears_on = 0
        self._next_hangover = _TUNED.hangover_windows
        self._unsure = 0
        self._over = 0
        self._looks = 0

    def judge(self, window: bytes, bot: BotAtEar | None, until: float, *, is_speech: bool) -> Heard:
        """Whose a window of the caller's audio is; the caller's where there is no speech in it.

        Args:
            window: 32 ms of 16-bit PCM.
            bot: What the bot was saying where its echo would be; None if it was silent.
            until: When the window ends, seconds of the clock of ``bot``.
            is_speech: Whether it sounds like speech, anybody's, or is close behind such.
        """
        level = pcm_level(window)
        self._windows.append(window)
        self._levels.append(level)
        self._hears_on -= 1
        if not is_speech:
            self._noises.append(level)
            if bot is not None:
                self._silences.append(level - bot.level)
        if not is_speech or bot is None:
            self._unsure = self._over = 0
            if self._hears_on < 0:
                self._next_hangover = _TUNED.hangover_windows
            return Heard.CALLER
        if self._hears_on >= 0:
            return Heard.CALLER
        if self._is_as_loud_as(bot):
            return self._is_caller()
        if not self._unsure and level < self._least_of_sound():
            # A sound is over, whosever it was: what is compared with nothing is unlike everything.
            return Heard.ECHO
        heard = self._compare(bot, until)
        if heard is Heard.UNSURE and self._is_louder_than_ever(bot):
            return Heard.LIKELY
        return heard

    def _is_louder_than_ever(self, bot: BotAtEar) -> bool:
        """Whether a window is louder than what came back while the bot spoke, and none is known."""
        if self._echo is not None or len(self._silences) < _TUNED.silent_windows:
            return False
        least = _ranked(self._silences, _TUNED.silent_rank) + _TUNED.above_silent
        return self._levels[-1] - bot.level >= least

    def _is_as_loud_as(self, bot: BotAtEar) -> bool:
        if self._echo is not None and self._echo.is_trusted:
            return False
        return max(list(self._levels)[-_TUNED.hangover_windows :]) >= bot.level - self._margin

    def _compare(self, bot: BotAtEar, until: float) -> Heard:
        echo, end = self._echo, round(until * SAMPLE_RATE)
        over = echo is not None and self._is_over(echo, bot, end)
        self._looks += 1
        if echo is not None and echo.is_settled and not over and self._looks % _TUNED.look_each:
            return self._is_echo()
        sound = self._sound()
        if echo is not None:
            found = self._search(sound, bot, end - echo.delay + _TUNED.near, 2 * _TUNED.near)
            if found.degree >= _TUNED.alike_at_known:
                over = over and self._is_beside(echo, found.degree)
                if over:
                    return self._is_caller_over(echo, sound, bot, end)
                self._note(echo, found, echo.delay - _TUNED.near, sound, bot, end)
                return self._is_echo()
        found = self._search(sound, bot, end, round(bot.reach * SAMPLE_RATE))
        if found.degree < _TUNED.alike[self._heard_windows()]:
            return self._is_unlike(found.degree, over=over)
        if echo is None or abs(found.shift - echo.delay) > _TUNED.near:
            self._echo = echo = _KnownEcho()
        self._note(echo, found, 0, sound, bot, end)
        return self._is_echo()

    @staticmethod
    def _note(
        echo: "_KnownEcho", found: Likeness, nearest: int, sound: Samples, bot: BotAtEar, end: int
    ) -> None:
        delay = nearest + found.shift
        place = bot.reference.sound(end - delay - len(sound), len(sound))
        echo.note(found.degree, sound, place, delay)

    def _search(self, sound: Samples, bot: BotAtEar, end: int, reach: int) -> Likeness:
        """Looks for the sound in what the bot said, up to a sample and from so many before."""
        length = len(sound) + reach
        cause = bot.reference.sound(end - length, length)
        return likeness(sound, cause, loss=min(self._margin, _TUNED.margin_slack))

    def _sound(self) -> Samples:
        sound = np.zeros(_COMPARED, np.float32)
        pcm = np.frombuffer(b"".join(self._windows), np.int16)
        sound[_COMPARED - len(pcm) :] = pcm
        return sound

    def _heard_windows(self) -> int:
        quiet = max(self._levels) - _TUNED.quieter
        return sum(level >= quiet for level in self._levels)

    def _least_of_sound(self) -> float:
        """How loud a window is at least that is more than the line's noise."""
        if not self._noises:
            return -math.inf
        return _ranked(self._noises, _TUNED.noise_rank) + _TUNED.above_noise

    def _is_over(self, echo: "_KnownEcho", bot: BotAtEar, end: int) -> bool:
        """Whether a window is louder than the echo that is known, and than the line's noise."""
        least = max(echo.level(bot, end), self._least_of_sound()) + _TUNED.louder
        window = np.frombuffer(self._windows[-1], np.int16).astype(np.float32)
        return echo.is_trusted and _edge_level(window) > least

    def _is_beside(self, echo: "_KnownEcho", degree: float) -> bool:
        """Whether a sound that is like the known echo is more than that."""
        return (
            degree < _TUNED.less_alike * echo.usual_degree
            and self._levels[-1] >= max(self._levels) - _TUNED.tail
        )

    def _is_unlike(self, degree: float, *, over: bool) -> Heard:
        trusted = self._echo is not None and self._echo.is_trusted
        if self._echo is not None and trusted and not over:
            self._echo.doubt()
            return Heard.ECHO
        self._over = 0
        self._unsure += 1
        heard = self._heard_windows()
        base, step = _TUNED.unlike
        is_clear = heard >= _TUNED.few_windows and degree < base + step * heard
        # An echo whose delay has changed is unlike its old and its new place for a while.
        waited = self._unsure if trusted else max(heard, self._unsure)
        if is_clear or waited >= _TUNED.windows:
            return self._is_caller_for_long()
        return Heard.UNSURE

    def _is_caller_over(self, echo: "_KnownEcho", sound: Samples, bot: BotAtEar, end: int) -> Heard:
        self._over += 1
        if self._over < _TUNED.over_windows:
            return Heard.UNSURE
        # What is new may as well be the echo, whose delay has changed.
        found = self._search(sound[-_TUNED.new :], bot, end, round(bot.reach * SAMPLE_RATE))
        is_elsewhere = abs(found.shift - echo.delay) > _TUNED.near
        if found.degree < _TUNED.alike[_TUNED.new // WINDOW] or not is_elsewhere:
            return self._is_caller_for_long()
        self._echo = _KnownEcho()
        self._note(self._echo, found, 0, sound[-_TUNED.new :], bot, end)
        return self._is_echo()

    def _is_caller_for_long(self) -> Heard:
        """The surer, the longer it is for the next look; an echo may begin behind a caller."""
        hears_on, self._next_hangover = self._next_hangover, 2 * self._next_hangover
        return self._is_caller(hears_on=min(hears_on, _TUNED.longest_hangover))

    def _is_caller(self, *, hears_on: int = 0) -> Heard:
        """A voice has quiet sounds between its loud ones: it is heard on for a moment."""
        self._hears_on = hears_on
        self._unsure = self._over = 0
        return Heard.CALLER

    def _is_echo(self) -> Heard:
        self._next_hangover = _TUNED.hangover_windows
        self._unsure = self._over = 0
        return Heard.ECHO


class _KnownEcho:
    """The echo of this line, as it was last."""

    def __init__(self) -> None:
        self.delay = 0
        self.usual_degree = 0.0
        self._loss: float | None = None
        self._trust = 0

    @property
    def is_trusted(self) -> bool:
        return self._trust >= _TUNED.least_trust

    @property
    def is_settled(self) -> bool:
        return self._trust == _TUNED.most_trust

    def note(self, degree: float, sound: Samples, place: Samples, delay: int) -> None:
        """Learns from a sound that was found again at a place of what the bot said."""
        self.delay = delay
        self._trust = min(_TUNED.most_trust, self._trust + 1)
        loss = _edge_level(sound) - _edge_level(place)
        if self._loss is None:
            self._loss, self.usual_degree = loss, degree
            return
        # A caller beside the echo makes it seem louder and less alike, so of that little is taken.
        self._loss += (0.05 if loss > self._loss else 0.3) * (loss - self._loss)
        share = 0.1 if degree > self.usual_degree else 0.03
        self.usual_degree += share * (degree - self.usual_degree)

    def doubt(self) -> None:
        """Trusts less in the echo: it was not found where it should have been."""
        self._trust -= 1

    def level(self, bot: BotAtEar, end: int) -> float:
        """How loud the echo is in the window that ends at a sample, at most; a room rings on."""
        longest = 3 * WINDOW
        last = end - self.delay + WINDOW // 4
        played = bot.reference.sound(last - longest, longest).reshape(3, WINDOW)
        falls = (9.0, 3.0, 0.0)
        return (self._loss or 0.0) + max(
            _edge_level(piece) - fall for piece, fall in zip(played, falls, strict=True)
        )


def _ranked(levels: Iterable[float], rank: float) -> float:
    """The level that so large a share of them is below."""
    in_order = sorted(levels)
    return in_order[int(rank * len(in_order))]


def _edge_level(sound: Samples) -> float:
    """How loud a sound is without its lowest tones, which a telephone may not pass on; dB."""
    edges = sound[1:] - 0.9 * sound[:-1]
    power = float(np.dot(edges, edges)) / len(edges)
    return 10 * float(np.log10(power / 32768**2 + 1e-10))
