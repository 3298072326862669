"""The caller's audio reaches the pipeline in steps, and in order with all else that comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from tests.transport.test_reader import Twilio
from twilio_frames.frames import AudioGapFrame, MulawInputFrame
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.protocol import Dtmf, Media
from twilio_frames.transport import TwilioTransport
from twilio_frames.worker import phone_worker

QUIET, LOUD = b"\xff" * 160, b"\x00\x80" * 80


class Socket:
    """A stand-in for Starlette's ``WebSocket``."""

    application_state = None

    def __init__(self, twilio: Twilio):
        self._twilio = twilio

    async def receive(self) -> dict[str, str | None]:
        text = await self._twilio.receive()
        kind = "websocket.disconnect" if text is None else "websocket.receive"
        return {"type": kind, "text": text}

    async def send_text(self, text: str) -> None:
        await self._twilio.send(text)

    async def close(self) -> None:
        await self._twilio.close()


class Ear(FrameProcessor):
    """Notes what comes: how long audio is, in milliseconds, and what else there is."""

    def __init__(self):
        super().__init__()
        self.came: asyncio.Queue[str] = asyncio.Queue()
        self.mulaw = b""

    def note(self, frame: Frame) -> None:
        match frame:
            case MulawInputFrame():
                self.mulaw += frame.mulaw
                self.came.put_nowait(f"{len(frame.mulaw) // 8}")
            case InputDTMFFrame():
                self.came.put_nowait("key")
            case AudioGapFrame():
                self.came.put_nowait("gap")
            case _:
                pass

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.note(frame)
        await self.push_frame(frame, direction)


class PatientVAD(PhoneVAD):
    """Judges nothing, and is as patient as it is told to be."""

    def __init__(self, ear: Ear):
        super().__init__()
        self.patience, self.speech_patience = 0.1, 0.0
        self._ear = ear

    @property
    def patience_secs(self) -> float:
        return self.patience

    @property
    def speech_patience_secs(self) -> float:
        return self.speech_patience

    async def hear(self, frame: InputAudioRawFrame) -> None:
        self._ear.note(frame)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        self._ear.note(frame)
        await super().process_frame(frame, direction)


class Line:
    """A line, whose clock goes by the audio."""

    def __init__(self, twilio: Twilio, ear: Ear):
        self._twilio, self._ear = twilio, ear
        self._at = {"inbound": 0, "outbound": 0}

    def says(self, *payloads: bytes, track: str = "inbound") -> None:
        for payload in payloads:
            self._twilio.says(Media(payload=payload, timestamp=self._at[track], track=track))
            self._at[track] += len(payload) // 8

    def presses(self, digit: str) -> None:
        self._twilio.says(Dtmf(digit=digit))

    def skips(self, milliseconds: int) -> None:
        self._at["inbound"] += milliseconds

    async def heard(self, *expected: str) -> None:
        """Checks what has come by now, in order."""
        await asyncio.sleep(0.03)
        came = [self._ear.came.get_nowait() for _ in range(self._ear.came.qsize())]
        assert came == list(expected)


@asynccontextmanager
async def line(*, has_vad: bool) -> AsyncIterator[tuple[Line, PatientVAD, Ear]]:
    twilio, ear = Twilio(), Ear()
    vad = PatientVAD(ear)
    transport = TwilioTransport(Socket(twilio))
    pipeline = Pipeline([transport.input(), vad if has_vad else ear, transport.output()])
    worker = phone_worker(pipeline)
    is_up = asyncio.Event()

    @transport.event_handler("on_client_connected")
    async def on_client_connected(*_: object) -> None:
        is_up.set()

    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(10):
            await is_up.wait()
        yield Line(twilio, ear), vad, ear
    finally:
        await worker.cancel()
        await running


async def test_silence_comes_in_steps_and_sound_at_once():
    async with line(has_vad=True) as (caller, vad, ear):
        caller.says(*[QUIET] * 6)
        await caller.heard("100")
        caller.says(LOUD)
        await caller.heard("40")
        caller.says(QUIET, QUIET)
        caller.presses("1")
        await caller.heard("40", "key")
        caller.says(QUIET)
        await asyncio.sleep(0.2)
        await caller.heard("20")
        vad.patience = 0.0
        caller.says(QUIET, QUIET)
        await caller.heard("20", "20")

    assert ear.mulaw == QUIET * 6 + LOUD + QUIET * 5


async def test_middle_of_speech_comes_in_steps_and_its_pauses_at_once():
    async with line(has_vad=True) as (caller, vad, ear):
        vad.patience, vad.speech_patience = 0.0, 0.04
        caller.says(LOUD, LOUD, LOUD)
        await caller.heard("40")
        caller.says(QUIET, QUIET)
        await caller.heard("40", "20")
        caller.says(LOUD)
        await asyncio.sleep(0.1)
        await caller.heard("20")

    assert ear.mulaw == LOUD * 3 + QUIET * 2 + LOUD


async def test_what_is_missing_or_came_before_leaves_the_steps_in_order():
    async with line(has_vad=True) as (caller, _, ear):
        caller.says(QUIET, QUIET)
        caller.skips(60)
        caller.says(QUIET)
        await caller.heard("40", "gap", "60")
        caller.skips(-40)
        caller.says(LOUD)
        caller.skips(20)
        for _ in range(5):
            caller.says(QUIET, track="outbound")
            caller.says(QUIET)
        await caller.heard("20", "gap", "100")

    assert LOUD not in ear.mulaw


async def test_two_pieces_are_a_frame_without_a_vad():
    async with line(has_vad=False) as (caller, _, ear):
        caller.says(LOUD, QUIET, LOUD)
        await caller.heard("40")
        caller.presses("1")
        await caller.heard("20", "key")

    assert ear.mulaw == LOUD + QUIET + LOUD


async def test_silence_comes_in_steps_where_another_vad_takes_the_caller_for_silent():
    async with line(has_vad=False) as (caller, _, ear):
        await ear.broadcast_frame(VADUserStoppedSpeakingFrame)
        caller.says(*[QUIET] * 32, LOUD, LOUD, LOUD)
        await caller.heard(*["40"] * 12, "100", "80", "40")
        await ear.broadcast_frame(VADUserStartedSpeakingFrame)
        caller.says(LOUD, QUIET, QUIET)
        await caller.heard("40")

    assert ear.mulaw == QUIET * 32 + LOUD * 4 + QUIET


async def test_silence_behind_a_short_sound_does_not_wait():
    async with line(has_vad=False) as (caller, _, ear):
        await ear.broadcast_frame(VADUserStoppedSpeakingFrame)
        caller.says(*[QUIET] * 24, LOUD, LOUD, *[QUIET] * 4)
        await caller.heard(*["40"] * 15)
