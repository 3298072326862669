"""Processor time of single steps: a message in, a message out, one window of the VAD."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import numpy as np
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import OutputAudioRawFrame
from pipecat.serializers.twilio import TwilioFrameSerializer

from twilio_frames.audio import decode_mulaw, encode_mulaw
from twilio_frames.processors.serializer import EventFrames
from twilio_frames.processors.silero_model import StreamState, probabilities
from twilio_frames.processors.vad import PhoneVADAnalyzer
from twilio_frames.protocol import Media, Role, SendMark, SendMedia, Start, Stream

OURS, STOCK = "ours", "stock"
START = Start(stream_sid="MZ" + "0" * 32, call_sid="CA" + "0" * 32)
_REPEATS = 2
_WINDOWS_A_SECOND = 8000 / 256

Step = Callable[[int], Awaitable[None]]


async def microseconds(step: Step, count: int) -> float:
    """Processor time of one of ``count`` steps, in all threads; the best of a few tries."""
    best = float("inf")
    for _ in range(_REPEATS):
        began = time.process_time()
        await step(count)
        best = min(best, time.process_time() - began)
    return best / count * 1e6


def _messages(count: int) -> list[str]:
    twilio = Stream(Role.TWILIO)
    twilio.adopt(START)
    audio = _noise(20 * count)
    pieces = [audio[160 * number : 160 * (number + 1)] for number in range(count)]
    return [
        twilio.send(Media(payload=piece, timestamp=100 + 20 * number))
        for number, piece in enumerate(pieces)
    ]


def _noise(milliseconds: int) -> bytes:
    return np.random.default_rng(1).integers(0, 256, 8 * milliseconds, np.uint8).tobytes()


def _bot_stream() -> Stream:
    stream = Stream(Role.BOT)
    stream.adopt(START)
    return stream


class MessagesIn:
    """A ``media`` message of 20 ms, from the socket's text on."""

    def __init__(self) -> None:
        self._serializer = TwilioFrameSerializer(
            START.stream_sid, params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
        )
        self._serializer._sample_rate = 8000  # pyright: ignore[reportPrivateUsage]

    async def our_pcm(self, count: int) -> None:
        """To PCM."""
        receive = _bot_stream().receive
        for text in self._texts(count):
            for event in receive(text):
                if isinstance(event, Media):
                    decode_mulaw(event.payload)

    async def our_frame(self, count: int) -> None:
        """To a frame for the pipeline."""
        receive, frames_of = _bot_stream().receive, EventFrames().of
        for text in self._texts(count):
            for event in receive(text):
                frames_of(event)

    async def stock_frame(self, count: int) -> None:
        """To a frame for the pipeline; it takes no rest on the way."""
        for text in self._texts(count):
            await self._serializer.deserialize(text)

    def _texts(self, count: int) -> list[str]:
        texts = getattr(self, "_made", None)
        if texts is None or len(texts) != count:
            texts = self._made = _messages(count)
        return texts


class MessagesOut:
    """The bot's speech, from PCM to the socket's text."""

    def __init__(self) -> None:
        self._serializer = TwilioFrameSerializer(
            START.stream_sid, params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
        )
        self._serializer._sample_rate = 8000  # pyright: ignore[reportPrivateUsage]

    async def our_message(self, count: int) -> None:
        """One message of 40 ms."""
        send, pcm = _bot_stream().send, decode_mulaw(_noise(40))
        for _ in range(count):
            send(SendMedia(payload=encode_mulaw(pcm)))

    async def stock_message(self, count: int) -> None:
        """One message of 40 ms."""
        pcm = decode_mulaw(_noise(40))
        for _ in range(count):
            await self._serializer.serialize(OutputAudioRawFrame(pcm, 8000, 1))

    async def our_second(self, count: int) -> None:
        """A second of speech: ten messages of 100 ms, a mark behind each."""
        send, pcm = _bot_stream().send, decode_mulaw(_noise(100))
        for _ in range(10 * count):
            send(SendMedia(payload=encode_mulaw(pcm)))
            send(SendMark(name="heard:8000"))

    async def stock_second(self, count: int) -> None:
        """A second of speech: 25 messages of 40 ms, no mark."""
        await self.stock_message(25 * count)


class Windows:
    """One 32 ms window of the VAD, for one stream."""

    def __init__(self) -> None:
        self._stock = SileroVADAnalyzer(sample_rate=8000)
        self._stock.set_sample_rate(8000)
        self._ours = [PhoneVADAnalyzer() for _ in range(8)]
        self._pcm = decode_mulaw(_noise(32))

    def batch(self, size: int) -> Step:
        """The shared model on so many streams at once; a step is one window of one of them."""

        async def step(count: int) -> None:
            states = [StreamState() for _ in range(size)]
            windows = [np.frombuffer(self._pcm, np.int16).astype(np.float32) / 32768] * size
            for _ in range(count // size):
                probabilities(states, windows)

        return step

    async def stock_window(self, count: int) -> None:
        """Model, loudness and state, without the way to the thread."""
        for _ in range(count):
            self._stock._run_analyzer(self._pcm)  # pyright: ignore[reportPrivateUsage]

    async def our_analysis(self, count: int) -> None:
        """``analyze_audio`` as the pipeline calls it: eight calls at a time, thread and all."""
        for _ in range(count // 8):
            await asyncio.gather(*(vad.analyze_audio(self._pcm) for vad in self._ours))

    async def our_lonely_analysis(self, count: int) -> None:
        """The same, with one call only."""
        for _ in range(count):
            await self._ours[0].analyze_audio(self._pcm)

    async def stock_analysis(self, count: int) -> None:
        """``analyze_audio`` as the pipeline calls it, thread and all."""
        for _ in range(count):
            await self._stock.analyze_audio(self._pcm)


def steps() -> dict[str, tuple[int, Step, Step]]:
    """What is measured: name to number of steps, our way, stock's way."""
    incoming, outgoing, windows = MessagesIn(), MessagesOut(), Windows()
    stock_window, stock_analysis = windows.stock_window, windows.stock_analysis
    return {
        "in_pcm": (5000, incoming.our_pcm, incoming.stock_frame),
        "in_frame": (5000, incoming.our_frame, incoming.stock_frame),
        "out_message": (2000, outgoing.our_message, outgoing.stock_message),
        "out_second": (200, outgoing.our_second, outgoing.stock_second),
        "vad_batch_1": (256, windows.batch(1), stock_window),
        "vad_batch_8": (512, windows.batch(8), stock_window),
        "vad_batch_32": (1024, windows.batch(32), stock_window),
        "vad_analysis_1": (256, windows.our_lonely_analysis, stock_analysis),
        "vad_analysis_8": (512, windows.our_analysis, stock_analysis),
    }


async def one_round(*, ours_first: bool) -> dict[str, dict[str, float]]:
    """Microseconds of each step on both sides, one after the other."""
    found: dict[str, dict[str, float]] = {}
    for name, (count, ours, stock) in steps().items():
        order = [(OURS, ours), (STOCK, stock)]
        for side, step in order if ours_first else reversed(order):
            found.setdefault(name, {})[side] = await microseconds(step, count)
    return found
