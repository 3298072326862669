import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from pipecat.audio.vad.vad_analyzer import VADParams, VADState
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    SpeechControlParamsFrame,
    UserStartedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.tests.utils import SleepFrame, run_test

from tests.pipecat_versions import OLDER_MODEL, unless_pipecat_112
from tests.processors.silero_rig import spoken_sentence, windows
from twilio_frames.audio import Resampler, decode_mulaw, encode_mulaw
from twilio_frames.frames import (
    AudioGapFrame,
    CallerPausedFrame,
    CallerSpeakingFrame,
    MulawInputFrame,
)
from twilio_frames.processors import silero
from twilio_frames.processors.silero import SileroBatch
from twilio_frames.processors.silero_model import WINDOW, StreamState, probabilities
from twilio_frames.processors.vad import LIKELY_SECS, PhoneVAD, PhoneVADAnalyzer
from twilio_frames.protocol import BreakKind

PARAMS = VADParams(confidence=0.6, start_secs=0.16, stop_secs=0.5, min_volume=0.0)


@pytest.fixture(scope="module")
def sentence() -> bytes:
    return spoken_sentence()


async def states_of(pcm: bytes, *, piece: int = 320) -> list[VADState]:
    analyzer = PhoneVADAnalyzer(params=PARAMS)
    analyzer.set_sample_rate(8000)
    states = [await analyzer.analyze_audio(pcm[n : n + piece]) for n in range(0, len(pcm), piece)]
    await analyzer.cleanup()
    return states


async def test_sentence_is_one_stretch_of_speech(sentence: bytes):
    states = await states_of(sentence)

    settled = [state for state in states if state in (VADState.QUIET, VADState.SPEAKING)]
    changes = [a for a, b in pairwise(settled) if a is not b]
    assert changes == [VADState.QUIET, VADState.SPEAKING]
    assert states[-1] is VADState.QUIET
    # Half a second of silence leads in; onset takes start_secs and a window or two.
    assert 25 <= states.index(VADState.SPEAKING) <= 25 + 15


async def test_piece_size_makes_no_difference(sentence: bytes):
    whole = (await states_of(sentence, piece=len(sentence)))[-1]

    assert whole is (await states_of(sentence, piece=77))[-1]


async def test_late_audio_goes_in_few_batches(sentence: bytes, monkeypatch: pytest.MonkeyPatch):
    alone = StreamState()
    one_by_one = [probabilities([alone], [window])[0] for window in windows(sentence)[:40]]
    requests: list[list[float]] = []
    batch = SileroBatch()

    class Counted(SileroBatch):
        async def judge(self, state: StreamState, windows: Sequence[np.ndarray]) -> list[float]:
            requests.append(await batch.judge(state, windows))
            return requests[-1]

    monkeypatch.setattr(silero, "shared_batch", Counted)
    await states_of(sentence[: 40 * WINDOW * 2], piece=40 * WINDOW * 2)

    assert [len(found) for found in requests] == [8, 8, 8, 8, 8]
    assert [p for found in requests for p in found] == pytest.approx(one_by_one, abs=1e-5)


async def test_progress_counts_speech_alone(sentence: bytes):
    analyzer = PhoneVADAnalyzer(params=PARAMS)
    counted = []
    for n in range(0, len(sentence), 320):
        await analyzer.analyze_audio(sentence[n : n + 320])
        counted.append(analyzer.speech_secs)

    rising = [b - a for a, b in pairwise(counted) if b != a]
    assert counted[0] == counted[-1] == 0.0
    assert all(step <= 0.033 for step in rising[1:-1])
    # Half a second each of silence before it and of waiting behind it are no speech.
    assert 1.0 < max(counted) < len(sentence) / 16000 - 1.9


@unless_pipecat_112(OLDER_MODEL)
async def test_progress_is_told_every_tenth_of_a_second(sentence: bytes):
    frames = [
        InputAudioRawFrame(audio=sentence[n : n + 320], sample_rate=8000, num_channels=1)
        for n in range(0, len(sentence), 320)
    ]
    down, _ = await run_test(PhoneVAD(params=PARAMS), frames_to_send=frames)

    speaking = [frame for frame in down if isinstance(frame, CallerSpeakingFrame)]
    assert [frame.is_certain for frame in speaking[:3]] == [False, True, True]
    assert speaking[0].speech_secs == pytest.approx(LIKELY_SECS, abs=0.01)
    told = [frame.speech_secs for frame in speaking if frame.is_certain]
    assert told[0] == pytest.approx(PARAMS.start_secs, abs=0.033)
    assert all(0.1 <= b - a <= 0.17 for a, b in pairwise(told))
    others = [f for f in down if not isinstance(f, InputAudioRawFrame | SpeechControlParamsFrame)]
    assert others[0] is speaking[0]
    assert isinstance(others[1], VADUserStartedSpeakingFrame)


def pushed_in(pcm: bytes) -> list[InputAudioRawFrame]:
    return [
        InputAudioRawFrame(audio=pcm[n : n + 320], sample_rate=8000, num_channels=1)
        for n in range(0, len(pcm), 320)
    ]


@pytest.mark.parametrize("rate", [16000, 24000])
async def test_audio_of_another_rate_is_judged_as_the_lines(sentence: bytes, rate: int):
    def stretches(frames: Sequence[Frame]) -> list[float]:
        """Where speech begins and ends, in seconds of audio."""
        secs, found = 0.0, list[float]()
        for frame in frames:
            if isinstance(frame, InputAudioRawFrame):
                secs += len(frame.audio) / (2 * frame.sample_rate)
            if isinstance(frame, VADUserStartedSpeakingFrame | VADUserStoppedSpeakingFrame):
                found.append(secs)
        return found

    step = 2 * rate // 50
    pcm = Resampler(8000, rate).resample(sentence)
    frames = [
        InputAudioRawFrame(audio=pcm[n : n + step], sample_rate=rate, num_channels=1)
        for n in range(0, len(pcm), step)
    ]
    as_usual, _ = await run_test(PhoneVAD(params=PARAMS), frames_to_send=pushed_in(sentence))
    at_rate, _ = await run_test(PhoneVAD(params=PARAMS), frames_to_send=frames)

    assert len(stretches(at_rate)) == 2
    assert stretches(at_rate) == pytest.approx(stretches(as_usual), abs=0.1)


class PatienceNotes(PhoneVAD):
    """Notes how much sound may wait where speech goes on, and where it pauses."""

    def __init__(self) -> None:
        super().__init__(params=PARAMS)
        self.speaking, self.paused = set[float](), set[float]()

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        if isinstance(frame, CallerSpeakingFrame):
            self.speaking.add(self.speech_patience_secs if frame.is_certain else -1.0)
            assert frame.is_certain or self.speech_patience_secs == 0.0
        elif isinstance(frame, CallerPausedFrame):
            self.paused.add(self.speech_patience_secs)
        await super().push_frame(frame, direction)


async def test_only_sound_in_the_middle_of_speech_may_wait(sentence: bytes):
    vad = PatienceNotes()
    await run_test(vad, frames_to_send=pushed_in(sentence))

    assert vad.speaking == {-1.0, 0.04}
    assert vad.paused == {0.0}


class TurnTaker(FrameProcessor):
    """Gives the caller the turn as soon as they speak, whether or not the bot is heard."""

    def __init__(self, *, is_bot_heard: bool) -> None:
        super().__init__()
        self._is_bot_heard = is_bot_heard

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            await self.push_frame(UserStartedSpeakingFrame(), FrameDirection.UPSTREAM)
            if self._is_bot_heard:
                await self.push_frame(BotStartedSpeakingFrame(), FrameDirection.UPSTREAM)


@pytest.mark.parametrize("is_bot_heard", [False, True])
async def test_little_is_told_where_the_turn_is_the_callers(sentence: bytes, is_bot_heard: bool):
    taker = TurnTaker(is_bot_heard=is_bot_heard)
    pipeline = Pipeline([PhoneVAD(params=PARAMS), taker])
    down, _ = await run_test(pipeline, frames_to_send=pushed_in(sentence))

    news = [f for f in down if isinstance(f, CallerSpeakingFrame | CallerPausedFrame)]
    last = next(n for n, f in reversed([*enumerate(news)]) if isinstance(f, CallerSpeakingFrame))
    end = news[last + 1 :]
    assert isinstance(end[0], CallerPausedFrame)
    assert end[0].silence_secs == pytest.approx(0.064)
    assert (len(news) > 20, len(end) > 5) == (is_bot_heard, is_bot_heard)
    spoken = [f.speech_secs for f in news if isinstance(f, CallerSpeakingFrame)]
    assert any(b - a >= 0.5 for a, b in pairwise(spoken)) is not is_bot_heard


async def test_speech_behind_a_pause_is_told_soon(sentence: bytes):
    twice = [*pushed_in(sentence[:-46000]), *pushed_in(sentence[6000:])]
    taker = TurnTaker(is_bot_heard=False)
    down, _ = await run_test(Pipeline([PhoneVAD(params=PARAMS), taker]), frames_to_send=twice)

    news = [f for f in down if isinstance(f, CallerSpeakingFrame | CallerPausedFrame)]
    behind = [(a, b) for a, b in pairwise(news) if isinstance(a, CallerPausedFrame)]
    resumed = [b.speech_secs - a.speech_secs for a, b in behind if not isinstance(b, type(a))]
    assert resumed
    assert all(0.0 < secs <= 0.17 for secs in resumed)


async def test_pause_is_told_window_by_window(sentence: bytes):
    down, _ = await run_test(PhoneVAD(params=PARAMS), frames_to_send=pushed_in(sentence))

    paused = [frame for frame in down if isinstance(frame, CallerPausedFrame)]
    spoken = [frame for frame in down if isinstance(frame, CallerSpeakingFrame)]
    last = [frame.silence_secs for frame in paused[-7:]]
    assert all(frame.is_certain for frame in paused)
    assert all(b - a == pytest.approx(0.064) for a, b in pairwise(last))
    assert 0.4 < last[-1] < PARAMS.stop_secs
    assert paused[-1].speech_secs == pytest.approx(spoken[-1].speech_secs, abs=0.1)


async def test_certainty_alone_can_be_asked_for(sentence: bytes):
    vad = PhoneVAD(params=PARAMS, likely_secs=PARAMS.start_secs)
    down, _ = await run_test(vad, frames_to_send=pushed_in(sentence))

    assert all(frame.is_certain for frame in down if isinstance(frame, CallerSpeakingFrame))


def judged(monkeypatch: pytest.MonkeyPatch, *found: float) -> list[InputAudioRawFrame]:
    """Frames of a window each, of which the model will think so."""

    class Judge(SileroBatch):
        def submit(
            self,
            state: StreamState,
            windows: Sequence[np.ndarray],
            done: Callable[[list[float]], None],
            failed: Callable[[BaseException], None],
        ) -> None:
            done([next(thoughts) for _ in windows])

    thoughts = iter(found)
    monkeypatch.setattr(silero, "shared_batch", Judge)
    window = bytes(WINDOW * 2)
    return [InputAudioRawFrame(audio=window, sample_rate=8000, num_channels=1) for _ in found]


async def told(frames: list[InputAudioRawFrame], vad: PhoneVAD | None = None) -> list[Frame]:
    down, _ = await run_test(vad or PhoneVAD(params=PARAMS), frames_to_send=frames)
    return [f for f in down if not isinstance(f, InputAudioRawFrame | SpeechControlParamsFrame)]


async def test_short_sound_is_likely_and_taken_back(monkeypatch: pytest.MonkeyPatch):
    frames = judged(monkeypatch, 0.1, 0.9, 0.7, 0.1, 0.1, 0.1, 0.1)
    speaking, paused = await told(frames)

    assert isinstance(speaking, CallerSpeakingFrame)
    assert isinstance(paused, CallerPausedFrame)
    assert not speaking.is_certain
    assert not paused.is_certain
    assert (speaking.speech_secs, paused.silence_secs) == pytest.approx((0.032, 0.096))


async def test_gap_in_an_onset_takes_nothing_back(monkeypatch: pytest.MonkeyPatch):
    frames = judged(monkeypatch, 0.9, 0.9, 0.1, 0.1, *[0.9] * 5)
    found = await told(frames)

    spoken = [frame.is_certain for frame in found if isinstance(frame, CallerSpeakingFrame)]
    assert spoken == [False, False, True]
    assert any(isinstance(frame, VADUserStartedSpeakingFrame) for frame in found)
    assert not [frame for frame in found if isinstance(frame, CallerPausedFrame)]


@pytest.mark.parametrize("found", [(0.8, 0.7, 0.8, 0.7), (0.84, 0.1, 0.84, 0.1), (0.7,) * 4])
async def test_doubtful_sound_is_not_likely(
    monkeypatch: pytest.MonkeyPatch, found: Sequence[float]
):
    assert await told(judged(monkeypatch, *found, 0.1)) == []


async def test_sound_may_have_to_last_to_be_likely(monkeypatch: pytest.MonkeyPatch):
    vad = PhoneVAD(params=PARAMS, likely_secs=0.06)
    frames = judged(monkeypatch, 0.9, 0.1, 0.9, 0.1, 0.9, 0.9, 0.1)
    speaking, *rest = await told(frames, vad)

    assert isinstance(speaking, CallerSpeakingFrame)
    assert (speaking.is_certain, speaking.speech_secs) == (False, pytest.approx(0.064, abs=0.001))
    assert rest == []


class LateJudge(SileroBatch):
    """Takes everything for speech, a while later; or the model fails."""

    def __init__(self, failure: BaseException | None = None):
        super().__init__()
        self._failure = failure
        self.asked = 0

    def submit(
        self,
        state: StreamState,
        windows: Sequence[np.ndarray],
        done: Callable[[list[float]], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.asked += 1
        loop = asyncio.get_running_loop()
        if self._failure is None:
            loop.call_later(0.05, done, [0.95] * len(windows))
        else:
            loop.call_later(0.05, failed, self._failure)


def windows_and_gap() -> list[Frame]:
    window = bytes(WINDOW * 2)
    audio = [InputAudioRawFrame(audio=window, sample_rate=8000, num_channels=1) for _ in range(3)]
    return [*audio, AudioGapFrame(kind=BreakKind.GAP, milliseconds=20)]


async def test_what_is_told_of_audio_stands_right_behind_it(monkeypatch: pytest.MonkeyPatch):
    batch = LateJudge()
    monkeypatch.setattr(silero, "shared_batch", lambda: batch)

    heard = PhoneVAD(params=PARAMS, likely_secs=0.06)
    down, _ = await run_test(heard, frames_to_send=windows_and_gap())

    kinds = [type(frame) for frame in down if not isinstance(frame, SpeechControlParamsFrame)]
    assert batch.asked == 3
    assert kinds == [
        InputAudioRawFrame,
        InputAudioRawFrame,
        CallerSpeakingFrame,
        InputAudioRawFrame,
        AudioGapFrame,
    ]


@pytest.mark.parametrize("failure", [RuntimeError("no model"), asyncio.CancelledError()])
async def test_model_that_fails_holds_nothing_up(
    failure: BaseException, monkeypatch: pytest.MonkeyPatch
):
    batch = LateJudge(failure)
    monkeypatch.setattr(silero, "shared_batch", lambda: batch)

    down, up = await run_test(PhoneVAD(params=PARAMS), frames_to_send=windows_and_gap())

    kinds = [type(frame) for frame in down if not isinstance(frame, SpeechControlParamsFrame)]
    assert kinds == [*[InputAudioRawFrame] * 3, AudioGapFrame]
    assert sum(isinstance(frame, ErrorFrame) for frame in up) == 3


async def test_silence_goes_on_in_long_steps_and_speech_in_short_ones(sentence: bytes):
    line = encode_mulaw(sentence[:12800])
    pieces = [line[n : n + 160] for n in range(0, len(line), 160)]
    frames = [
        MulawInputFrame(audio=decode_mulaw(piece), sample_rate=8000, num_channels=1, mulaw=piece)
        for piece in pieces
    ]
    down, _ = await run_test(PhoneVAD(params=PARAMS), frames_to_send=frames)

    heard = [frame for frame in down if isinstance(frame, MulawInputFrame | CallerSpeakingFrame)]
    onset = next(n for n, frame in enumerate(heard) if isinstance(frame, CallerSpeakingFrame))
    audio = [len(f.mulaw) for f in heard if isinstance(f, MulawInputFrame)]
    assert b"".join(f.mulaw for f in heard if isinstance(f, MulawInputFrame)) == line
    assert audio[:5] == [800] * 5
    assert {len(f.mulaw) for f in heard[onset:] if isinstance(f, MulawInputFrame)} <= {160, 320}


async def test_line_that_falls_dumb_in_the_middle_of_speech_ends_it(sentence: bytes):
    speech = sentence[: 2 * 12000]
    vad = PhoneVAD(params=PARAMS)
    down, _ = await run_test(
        vad,
        frames_to_send=[*pushed_in(speech), SleepFrame(sleep=2.5), *pushed_in(bytes(3200))],
    )

    kinds = [type(frame) for frame in down if not isinstance(frame, SpeechControlParamsFrame)]
    ends = kinds.index(VADUserStoppedSpeakingFrame)
    assert kinds.index(VADUserStartedSpeakingFrame) < ends
    assert InputAudioRawFrame in kinds[ends:], "the end was told before the line came back"
