"""A call that was recorded becomes a caller: the same sounds and keys at the same times."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, decode_mulaw, mulaw_silence
from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.report.lines import Kind, number, text
from twilio_frames.report.reading import LoggedCall, is_call_log, parse_log
from twilio_frames.testing.callers.caller import Caller
from twilio_frames.testing.callers.tones import KEYS
from twilio_frames.testing.callers.voice import AUDIBLE, FRAME_BYTES, Utterance, audible_samples
from twilio_frames.testing.logs.capture import Capture, read_capture
from twilio_frames.testing.logs.kept_logs import kept_text
from twilio_frames.testing.speech import Speech, read_wav


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something that is said at a time.

    Parameters:
        at: Seconds from the beginning.
        speech: What; audio that was recorded in one piece follows on without a gap.
    """

    at: float
    speech: Speech = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A caller who does what another did.

    Parameters:
        name: The file it came from.
        said: What is said, by its time.
        digits: Keys, with the second at which each is pressed.
        seconds: How long the caller stays.
        parameters: Custom parameters of the stream.
        lost: What of the recording cannot be replayed, in words.
    """

    name: str
    said: tuple[Said, ...] = field(repr=False)
    digits: tuple[tuple[float, str], ...] = field(default=(), repr=False)
    seconds: float = 0.0
    parameters: dict[str, str] = field(default_factory=dict, repr=False)
    lost: tuple[str, ...] = ()

    async def perform(self, caller: Caller) -> None:
        """Does it all, from now on; ends early if the call does."""
        # Of what is said while a stream opens, up to its first timestamp, the bot gets nothing.
        began = caller.now + 0.2
        pressing = asyncio.create_task(self._press_all(caller, began))
        try:
            await self._say_all(caller, began)
            # What was said last must have left before the caller hangs up.
            await _wait_until(caller, began + self.seconds + 0.1)
            await pressing
        except CallFailedError:
            if caller.is_connected:
                raise
        finally:
            pressing.cancel()

    async def _say_all(self, caller: Caller, began: float) -> None:
        until = -1.0
        for said in self.said:
            # What follows on is handed over early, so that not a sample is between them.
            if said.at > until + 0.001:
                await _wait_until(caller, began + said.at)
            if not caller.is_connected:
                return
            utterance = await caller.start_saying(said.speech)
            until = said.at + len(utterance.mulaw) / SAMPLE_RATE

    async def _press_all(self, caller: Caller, began: float) -> None:
        for at, digit in self.digits:
            await _wait_until(caller, began + at)
            if not caller.is_connected:
                return
            await caller.press(digit)


async def _wait_until(caller: Caller, moment: float) -> None:
    await caller.wait_until(lambda: caller.now >= moment, seconds=max(0.0, moment - caller.now) + 5)


def read_replay(path: Path, *, skip_malformed: bool = False) -> Replay:
    """The caller of a recorded call: of Media Streams messages, a call log, or a WAV file.

    A call log has no audio. Its recording is looked for beside it, under the same name with
    ``.wav``; where there is none, the words that the log holds are spoken at their times.

    Args:
        path: The file.
        skip_malformed: Whether to go without the lines that cannot be read.

    Raises:
        ConfigurationError: If it cannot be read, or there is nothing in it to replay; with the
            number of the line.
    """
    if path.suffix.lower() == ".wav":
        return _from_recording(path)
    lines = kept_text(path).splitlines()
    if is_call_log(next((line for line in lines if line.strip()), "")):
        return _from_log(path, lines, skip_malformed=skip_malformed)
    return _from_capture(path, read_capture(path), skip_malformed=skip_malformed)


def _from_log(path: Path, lines: list[str], *, skip_malformed: bool) -> Replay:
    log = parse_log(lines, name=str(path))
    if log.unreadable and not skip_malformed:
        raise ConfigurationError(
            f"expected a line of a call log, got something else at {path}:{log.unreadable[0]}: "
            "mend the line or skip such lines"
        )
    digits, withheld = _pressed(log)
    ended = log.first(Kind.ENDED)
    seconds = number(ended, "seconds", number(ended, "t", log.last_time))
    recording = path.with_suffix(".wav")
    if recording.is_file():
        replay = _from_recording(recording)
        seconds = max(replay.seconds, seconds)
        return replace(replay, digits=digits, seconds=seconds, lost=withheld)
    said = tuple(_words(log))
    if not said:
        raise ConfigurationError(
            f"expected a recording beside the log or words in it, got neither at {path}: keep the "
            f"recording as {recording.name}, or log with words"
        )
    lost = (*withheld, "the caller's voice: the words are spoken instead")
    return Replay(name=path.name, said=said, digits=digits, seconds=seconds, lost=lost)


def _pressed(log: LoggedCall) -> tuple[tuple[tuple[float, str], ...], tuple[str, ...]]:
    """The keys and their times, and what the log does not tell of them."""
    keys = log.of(Kind.DIGIT)
    digits = tuple(
        (each["t"], each["digit"]) for each in keys if text(each, "digit") in tuple(KEYS)
    )
    withheld = sum("digit" not in each for each in keys)
    return digits, (f"{withheld} keys that the log does not name",) if withheld else ()


def _words(log: LoggedCall) -> Iterator[Said]:
    """Each transcript, at the time at which its first sound was."""
    # The simulated Twilio's log names what was played to it, which need not be words.
    if not log.first(Kind.LOG).get("words"):
        return
    began: float | None = None
    for line in log.of(Kind.VAD_STARTED, Kind.TURN_STARTED, Kind.TRANSCRIPT):
        if line["kind"] != Kind.TRANSCRIPT:
            began = max(0.0, line["t"] - number(line, "after")) if began is None else began
            continue
        if text(line, "text").strip():
            yield Said(at=line["t"] if began is None else began, speech=line["text"])
        began = None


def _from_capture(path: Path, capture: Capture, *, skip_malformed: bool) -> Replay:
    if capture.malformed and not skip_malformed:
        first = capture.malformed[0]
        others = f" (and in {len(capture.malformed) - 1} more)" * (len(capture.malformed) > 1)
        raise ConfigurationError(
            f"{first.problem} at {path}:{first.line}{others}: mend the line or skip such lines; "
            f"{capture.missing_secs:.2f} s of the caller's audio are then silence"
        )
    digits = tuple((at, digit) for at, digit in capture.digits if digit.upper() in KEYS)
    return Replay(
        name=path.name,
        said=tuple(_pieces(bytes(capture.audio), path.name)),
        digits=digits,
        seconds=capture.seconds,
        parameters=capture.parameters,
        lost=tuple(_lost(capture)),
    )


def _lost(capture: Capture) -> Iterator[str]:
    if capture.malformed:
        numbers = ", ".join(str(line.line) for line in capture.malformed[:10])
        more = ", ..." if len(capture.malformed) > 10 else ""
        yield f"{len(capture.malformed)} lines that are no messages ({numbers}{more})"
    if capture.missing_secs >= 0.001:
        yield f"{capture.missing_secs:.2f} s of audio that are missing: silence instead"
    if capture.from_bot:
        yield f"{capture.from_bot} messages of the bot's"
    if capture.other_streams:
        yield f"{capture.other_streams} messages of other streams"


def _pieces(mulaw: bytes, name: str) -> Iterator[Said]:
    """The audio cut in the middle of its silences, on the border of frames, without loss."""
    begin, audible = 0, _above_the_noise(mulaw)
    for end in [*_cuts(mulaw, audible), len(mulaw)]:
        piece = mulaw[begin:end]
        if piece:
            utterance = Utterance(mulaw=piece, label=f"({name})", audible=audible)
            yield Said(at=begin / SAMPLE_RATE, speech=utterance)
        begin = end


def _above_the_noise(mulaw: bytes) -> int:
    """The amplitude from which on a sound is more than the line's own noise."""
    samples = np.abs(np.frombuffer(decode_mulaw(mulaw), dtype=np.int16).astype(np.int32))
    whole = len(samples) // FRAME_BYTES * FRAME_BYTES
    if not whole:
        return AUDIBLE
    peaks = samples[:whole].reshape(-1, FRAME_BYTES).max(axis=1)
    return max(AUDIBLE, round(3.0 * float(np.quantile(peaks, 0.2))))


def _cuts(mulaw: bytes, audible: int) -> Iterator[int]:
    loud = audible_samples(mulaw, audible)
    # A shorter silence does not part two utterances.
    pauses = np.flatnonzero(np.diff(loud) > 0.7 * SAMPLE_RATE)
    for pause in pauses:
        middle = (int(loud[pause]) + int(loud[pause + 1])) // 2
        yield middle // FRAME_BYTES * FRAME_BYTES


def _from_recording(path: Path) -> Replay:
    """The left channel of a WAV file, which is the caller's in every recording of this package."""
    mulaw = read_wav(path, channel=0)
    mulaw += mulaw_silence(-len(mulaw) % FRAME_BYTES / SAMPLE_RATE)
    return Replay(
        name=path.name, said=tuple(_pieces(mulaw, path.name)), seconds=len(mulaw) / SAMPLE_RATE
    )
