"""Whether a soft caller stops the bot, and whether the bot's own echo does.

    python bench/echoes.py [--speech FOLDER] [--trials N]

The bot speaks all the time, at -19.5 dB of full scale; after five seconds of it the caller begins
to, at a level. The echo of the bot comes back by a level and a delay, as telephones and networks
leave it: 300 to 3400 Hz, mu-law, noise of the line beside it. A caller is missed if the VAD has not
heard speech that is likely, which holds the bot, 1.5 s after the first sound; what it hears before
is the echo. Callers and bots are synthetic unless there is a folder of WAV files of people, in
``TWILIO_FRAMES_SPEECH`` or named.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from loguru import logger

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, encode_mulaw, pcm_level
from twilio_frames.audio.echo import EchoReference
from twilio_frames.audio.echo_gate import WINDOW, EchoGate
from twilio_frames.processors.vad import ECHO_MARGIN, PhoneVADAnalyzer
from twilio_frames.testing.lines.telephone import ComfortNoise
from twilio_frames.testing.speech import read_wav, to_utterance

Samples = np.ndarray
Echo = Callable[[Samples, float], Samples]

_BOT_LEVEL = -19.5
_CALLER_LEVELS = (-20, -26, -32, -38, -45)
_ECHO_LEVELS = (None, -40, -30, -20, -10)
_DELAYS = (0.05, 0.2, 0.4, 0.6)
_BEGINS_SECS = 5.0
_LINE_SECS = 8.0
_ECHO_SECS = 15.0
_HEARD_WITHIN_SECS = 1.5
_REACH_SECS = 0.9
_PIECE = 160
_MESSAGE = 800
_NOISE = -60.0
_COMFORT_NOISES = (-65.0, -60.0, -55.0)
_BOT_VOICES = ("en-us+f2", "en-us+m3", "en-us", "en-us+f4")
_BOT_TEXTS = (
    "Thank you for calling. We have lattes and filter coffee in three sizes. What may it be?",
    "Welcome. This call may be recorded for training. Please tell me your order number.",
)
_CALLER_VOICES = ("en-us+m7", "en-us+f3", "en-us+m1", "en-us+f1", "en-us+m2", "en-us+f5")
_CALLER_TEXTS = (
    "Stop please, I would like a large latte.",
    "Hello? I have a question about my bill.",
    "No, that is not what I meant at all.",
)


@dataclass
class Found:
    """What became of some callers; seconds.

    Parameters:
        seconds: How much was listened to before they spoke.
        held_after: From the first sound of each to the hold of the bot.
        missed: How many did not hold it.
        in_vain: How many holds there were before any caller spoke.
    """

    seconds: float = 0.0
    held_after: list[float] = field(default_factory=list)
    missed: int = 0
    in_vain: int = 0


def _gain(decibels: float) -> float:
    return 10 ** (decibels / 20)


def _active(sound: Samples) -> Samples:
    """The loudness of each 20 ms that are not silence, and which they are."""
    pieces = sound[: len(sound) // _PIECE * _PIECE].reshape(-1, _PIECE)
    loudness = np.sqrt((pieces**2).mean(1))
    return np.where(loudness > loudness.max() * _gain(-25), loudness, 0.0)


def at_level(sound: Samples, level: float) -> Samples:
    """A sound whose active parts are at a level, dB of full scale."""
    active = _active(sound)
    loudness = np.sqrt((active[active > 0] ** 2).mean())
    return sound * (32768 * _gain(level) / loudness)


def first_sound(sound: Samples) -> int:
    """The sample from which on a sound is audible."""
    return int(np.argmax(_active(sound) > 0)) * _PIECE


def on_the_line(sound: Samples, random: np.random.Generator, noise: float = _NOISE) -> Samples:
    """A sound as it arrives: with noise, mu-law coded."""
    noisy = sound + random.normal(0, 32768 * _gain(noise), len(sound))
    mulaw = encode_mulaw(noisy.clip(-32768, 32767).astype(np.int16).tobytes())
    return np.frombuffer(decode_mulaw(mulaw), np.int16).astype(np.float64)


def with_comfort_noise(sound: Samples, level: float) -> Samples:
    """A sound as a mobile telephone sends it that puts noise of its own where it hears nothing."""
    telephone = ComfortNoise(level)
    mulaw = encode_mulaw(sound.clip(-32768, 32767).astype(np.int16).tobytes())
    pieces = (mulaw[begin : begin + _PIECE] for begin in range(0, len(mulaw), _PIECE))
    return _samples(b"".join(telephone.pass_on(piece) for piece in pieces))


def through_telephone(sound: Samples, level: float) -> Samples:
    """An echo of a level that a telephone has filtered."""
    spectrum = np.fft.rfft(sound)
    frequencies = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    spectrum[(frequencies < 300) | (frequencies > 3400)] = 0
    return np.fft.irfft(spectrum, len(sound)) * _gain(level)


def from_a_room(sound: Samples, level: float) -> Samples:
    """An echo that a room has smeared over a fifth of a second, half of its power."""
    length = SAMPLE_RATE // 5
    smear = np.random.default_rng(3).normal(0, 1, length)
    smear *= np.exp(-6.9 * np.arange(length) / length)
    smear /= np.sqrt((smear**2).sum())
    smear[0] += 1.0
    return through_telephone(np.convolve(sound, smear)[: len(sound)], level - 3.0)


def from_a_loudspeaker(sound: Samples, level: float) -> Samples:
    """An echo that a small loudspeaker has distorted."""
    most = np.abs(sound).max() / 2
    return through_telephone(np.tanh(sound / most) * most, level)


def later(sound: Samples, seconds: float, length: int) -> Samples:
    """A sound that much later, cut to a length."""
    return np.concatenate([np.zeros(round(seconds * SAMPLE_RATE)), sound])[:length]


async def listen(line: Samples, bot: Samples, margin: float | None = ECHO_MARGIN) -> list[float]:
    """When the VAD held the bot, seconds.

    Args:
        line: The caller's audio.
        bot: What the bot said, from the same moment on.
        margin: Of the VAD.
    """
    reference = EchoReference()
    vad = PhoneVADAnalyzer(echo_margin=margin)
    vad.set_sample_rate(SAMPLE_RATE)
    said = encode_mulaw(bot.astype(np.int16).tobytes())
    pcm = line.astype(np.int16).tobytes()
    holds: list[float] = []
    was_heard = False
    for begin in range(0, len(line) - _PIECE + 1, _PIECE):
        if begin % _MESSAGE == 0:
            reference.note(said[begin : begin + _MESSAGE], begin / SAMPLE_RATE)
        until = (begin + _PIECE) / SAMPLE_RATE
        vad.bot = reference.heard(until, _REACH_SECS)
        await vad.analyze_audio(pcm[2 * begin : 2 * (begin + _PIECE)])
        is_heard = vad.speech_secs > 0.0
        if is_heard and not was_heard:
            holds.append(until)
        was_heard = is_heard
    await vad.cleanup()
    return holds


@dataclass(frozen=True)
class Echoed:
    """What comes back on a line; levels in dB, the delay in seconds.

    Parameters:
        level: Of the echo, against the bot; None for no echo.
        delay: How much later it comes.
        comfort_noise: What the caller's telephone puts where it hears nothing; None for steady
            noise of the line.
    """

    level: float | None
    delay: float
    comfort_noise: float | None = None


class Talks:
    """What bots and callers say.

    Args:
        bots: Voices of bots.
        callers: Voices of callers.
    """

    def __init__(self, bots: Sequence[Samples], callers: Sequence[Samples]):
        self._bots = bots
        self._callers = callers

    def bot(self, number: int, seconds: float) -> Samples:
        """A bot that speaks for so long."""
        sound = at_level(self._bots[number % len(self._bots)], _BOT_LEVEL)
        length = round(seconds * SAMPLE_RATE)
        whole = np.tile(sound, length // len(sound) + 1)[:length]
        return on_the_line(whole, np.random.default_rng(number), -90.0)

    def caller(self, number: int, level: float) -> Samples:
        """A caller of a level."""
        sound = at_level(self._callers[number % len(self._callers)], level)
        return sound[max(0, first_sound(sound) - SAMPLE_RATE // 10) :]


async def over_the_bot(
    talks: Talks, level: float, echo: Echoed, number: int
) -> tuple[list[float], float]:
    """When a caller who speaks over the bot held it, and when the first sound came; seconds."""
    bot, voice = talks.bot(number, _LINE_SECS), talks.caller(number, level)
    line = np.zeros(len(bot))
    if echo.level is not None:
        line += later(through_telephone(bot, echo.level), echo.delay, len(bot))
    begin = round(_BEGINS_SECS * SAMPLE_RATE) + 61 * number
    voice = voice[: len(line) - begin]
    line[begin : begin + len(voice)] += voice
    if echo.comfort_noise is None:
        line = on_the_line(line, np.random.default_rng(number))
    else:
        line = with_comfort_noise(line, echo.comfort_noise)
    return await listen(line, bot), (begin + first_sound(voice)) / SAMPLE_RATE


async def callers(talks: Talks, level: float, echo: Echoed, trials: int) -> Found:
    """What becomes of callers of one level over one echo."""
    found = Found()
    lines = [over_the_bot(talks, level, echo, number) for number in range(trials)]
    for holds, began in await asyncio.gather(*lines):
        found.seconds += began
        # Two windows of the model lie across the first sound.
        found.in_vain += sum(hold < began - 0.06 for hold in holds)
        after = [hold - began for hold in holds if hold >= began - 0.06]
        if after and after[0] <= _HEARD_WITHIN_SECS:
            found.held_after.append(after[0])
        else:
            found.missed += 1
    return found


def _echo_lines(talks: Talks, level: float, number: int) -> dict[str, tuple[Samples, Samples]]:
    """Lines on which nobody speaks but the bot, and what it says, by the kind of their echo."""
    bot = talks.bot(number, _ECHO_SECS)
    random, length = np.random.default_rng(number), len(bot)
    delay = _DELAYS[number % len(_DELAYS)]
    plain = later(bot * _gain(level), delay, length)
    filtered = through_telephone(bot, level)
    moved = later(filtered, delay, length)
    other = later(filtered, _DELAYS[(number + 1) % len(_DELAYS)], length)
    half = length // 2
    lines = {
        "as it was sent": plain,
        "filtered": moved,
        "from a room": later(from_a_room(bot, level), delay, length),
        "from a small loudspeaker": later(from_a_loudspeaker(bot, level), delay, length),
        "begins in mid-call": np.concatenate([np.zeros(half), moved[half:]]),
        "its delay changes once": np.concatenate([moved[:half], other[half:]]),
    }
    found = {name: (on_the_line(line, random), bot) for name, line in lines.items()}
    for noise in _COMFORT_NOISES:
        found[f"filtered, comfort noise at {noise:.0f}"] = (with_comfort_noise(moved, noise), bot)
    return {**found, "filtered, noise at -45": (on_the_line(moved, random, -45.0), bot)}


async def echoes(talks: Talks, level: float, trials: int) -> dict[str, float]:
    """How often a minute the bot's own echo holds it, by the kind of the echo."""
    found: dict[str, float] = {}
    for number in range(trials):
        lines = _echo_lines(talks, level, number)
        holds = await asyncio.gather(*(listen(line, bot) for line, bot in lines.values()))
        for name, held in zip(lines, holds, strict=True):
            found[name] = found.get(name, 0.0) + len(held) * 60 / _ECHO_SECS / trials
    return found


def costs(talks: Talks) -> None:
    """Prints what listening costs: CPU for each second of a line on which the bot speaks."""
    bot, voice = talks.bot(0, _ECHO_SECS), talks.caller(0, -35.0)
    random = np.random.default_rng(0)
    silent = on_the_line(np.zeros(len(bot)), random)
    echo = on_the_line(later(through_telephone(bot, -20.0), 0.2, len(bot)), random)
    soft = np.resize(voice, len(bot))
    lines = {
        "nobody speaks": silent,
        "a soft caller speaks all the time": on_the_line(soft, random),
        "an echo at -20 dB": echo,
    }
    print("CPU of the gate for each second of a line on which the bot speaks, ms")
    for name, line in lines.items():
        print(f"{name:34} {min(_gate_secs(line, bot) for _ in range(5)) * 1000:5.2f}")


def _gate_secs(line: Samples, bot: Samples) -> float:
    """CPU for a second of a line, all that is audible taken for speech."""
    reference, gate = EchoReference(), EchoGate(ECHO_MARGIN)
    said, pcm = encode_mulaw(bot.astype(np.int16).tobytes()), line.astype(np.int16)
    began = time.process_time()
    for begin in range(0, len(line) - WINDOW + 1, WINDOW):
        for message in range(-(-begin // _MESSAGE), -(-(begin + WINDOW) // _MESSAGE)):
            first = message * _MESSAGE
            reference.note(said[first : first + _MESSAGE], first / SAMPLE_RATE)
        until, window = (begin + WINDOW) / SAMPLE_RATE, pcm[begin : begin + WINDOW].tobytes()
        heard = reference.heard(until, _REACH_SECS)
        gate.judge(window, heard, until, is_speech=pcm_level(window) > _NOISE + 6.0)
    return (time.process_time() - began) / _ECHO_SECS


async def _talks(folder: Path | None) -> Talks:
    bots = [
        _samples((await to_utterance(text, voice=voice)).mulaw)
        for text in _BOT_TEXTS
        for voice in _BOT_VOICES
    ]
    if folder is None:
        said = [
            (await to_utterance(text, voice=voice)).mulaw
            for voice in _CALLER_VOICES
            for text in _CALLER_TEXTS
        ]
    else:
        said = await asyncio.to_thread(_recorded, folder)
    people = [voice for voice in map(_samples, said) if len(voice) > SAMPLE_RATE]
    if folder is not None:
        # Each other bot is a person, too: those speak less regularly.
        bots[1::2] = people[1 : len(bots) : 2]
        people = people[len(bots) :]
    return Talks(bots, people)


def _samples(mulaw: bytes) -> Samples:
    return np.frombuffer(decode_mulaw(mulaw), np.int16).astype(np.float64)


def _recorded(folder: Path) -> list[bytes]:
    return [read_wav(path) for path in sorted(folder.rglob("*.wav"))]


def _cell(found: Found) -> str:
    total = found.missed + len(found.held_after)
    if not found.held_after:
        return f"{found.missed} of {total}"
    p50, p95 = (1000 * np.quantile(found.held_after, share) for share in (0.5, 0.95))
    return f"{found.missed} of {total}, {p50:.0f}/{p95:.0f}"


def _row(cells: Sequence[object]) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def _title(level: float | None) -> str:
    return "none" if level is None else f"{level} dB"


def _echoed() -> list[Echoed]:
    """The lines on which callers speak over the bot."""
    lines = [Echoed(None, _DELAYS[0])]
    levels = _ECHO_LEVELS[1:]
    lines += [Echoed(level, delay) for level in levels for delay in _DELAYS]
    return lines + [Echoed(level, _DELAYS[1], _COMFORT_NOISES[1]) for level in levels]


async def measure(talks: Talks, trials: int) -> None:
    """Measures, and prints tables."""
    print("Callers missed, and ms to the hold, p50/p95\n")
    _row(["echo", "delay, ms", *(f"caller at {level}" for level in _CALLER_LEVELS), "in vain"])
    _row(["---"] * (3 + len(_CALLER_LEVELS)))
    for echo in _echoed():
        row = [await callers(talks, level, echo, trials) for level in _CALLER_LEVELS]
        minutes = sum(found.seconds for found in row) / 60
        in_vain = f"{sum(found.in_vain for found in row) / minutes:.1f} a minute"
        shown = "-" if echo.level is None else f"{1000 * echo.delay:.0f}"
        noise = "" if echo.comfort_noise is None else f", comfort noise {echo.comfort_noise:.0f} dB"
        _row([_title(echo.level) + noise, shown, *map(_cell, row), in_vain])
    print("\nHolds in vain a minute of the bot's speech, nobody else speaking\n")
    levels = [level for level in _ECHO_LEVELS if level is not None]
    by_level = [await echoes(talks, level, max(4, trials // 2)) for level in levels]
    _row(["echo", *map(_title, levels)])
    _row(["---"] * (1 + len(levels)))
    for name in by_level[0]:
        _row([name, *(f"{found[name]:.1f}" for found in by_level)])
    print()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("TWILIO_FRAMES_SPEECH")
    parser.add_argument("--speech", type=Path, default=Path(folder) if folder else None)
    parser.add_argument("--trials", type=int, default=18)
    parser.add_argument("--costs", action="store_true", help="only what it costs")
    arguments = parser.parse_args()

    logger.disable("pipecat")

    async def run() -> None:
        talks = await _talks(arguments.speech)
        if not arguments.costs:
            await measure(talks, arguments.trials)
        costs(talks)

    asyncio.run(run())


if __name__ == "__main__":
    main()
