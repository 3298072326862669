"""What ``/metrics`` costs: processor time of a minute of a call, without it and with it.

The same call is carried in turn without metrics and with them, by one process, in virtual time and
over a line that costs next to nothing, so that a call takes what its bot computes: it hears with
the Silero VAD, answers each of the caller's sentences, and is interrupted in every second answer.
Given are the least of all turns, and the median of what a turn with metrics took against the one
beside it, in percent. On a busy machine these vary by more than metrics take, so what their own
code takes is given too. How late the event loop is, is measured once for all calls of a process:
what that takes stands beside it::

    python bench/metrics_cost.py --rounds 40
"""

from virtual_time import run, take_over_time

take_over_time()

import argparse  # noqa: E402
import asyncio  # noqa: E402
import base64  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from collections import deque  # noqa: E402
from collections.abc import AsyncIterator  # noqa: E402
from typing import Any  # noqa: E402

from loguru import logger  # noqa: E402
from pipecat.frames.frames import Frame  # noqa: E402
from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from prometheus_client import CollectorRegistry  # noqa: E402
from stand_ins import Responder, Transcriber  # noqa: E402
from starlette.websockets import WebSocket  # noqa: E402

from twilio_frames import metrics  # noqa: E402
from twilio_frames.audio import mulaw_silence  # noqa: E402
from twilio_frames.call import Call  # noqa: E402
from twilio_frames.fleet.lag import LoopLag  # noqa: E402
from twilio_frames.frames import CallEndReason  # noqa: E402
from twilio_frames.metrics.call import CallMetrics  # noqa: E402
from twilio_frames.metrics.kept import KeptMetrics  # noqa: E402
from twilio_frames.processors.context import PhoneContextAggregator  # noqa: E402
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk  # noqa: E402
from twilio_frames.processors.vad import PhoneVAD  # noqa: E402
from twilio_frames.testing.speech import to_one_utterance  # noqa: E402
from twilio_frames.transport import TwilioTransport  # noqa: E402

CALL_SECS = 30.0
_FRAME_BYTES = 160
_START = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": "MZ1",
    "start": {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {},
    },
}


class Voice(PythonTTSService):
    """Buzzes for four seconds."""

    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        """Has all of it at once, in pieces of 100 ms."""
        for _ in range(40):
            yield SpeechChunk(pcm=b"\x00\x20" * 400 + b"\x00\xe0" * 400, sample_rate=8000)


class TimedMetrics(CallMetrics):
    """Knows what it has taken itself."""

    took_ms = 0.0

    def passed(self, frame: Frame) -> None:
        """Takes a frame, and the time."""
        began = time.thread_time()
        super().passed(frame)
        TimedMetrics.took_ms += 1000 * (time.thread_time() - began)


async def caller_messages() -> list[str]:
    """Half a minute of a caller, as Twilio sends it."""
    # An order, what interrupts the answer to it, and time to hear out the next.
    round_of = await to_one_utterance(["I would like a pizza.", 2.5, "No, wait, two of them.", 8.0])
    said = mulaw_silence(1.0) + round_of.mulaw * 20
    frames = (said[at : at + _FRAME_BYTES] for at in range(0, len(said), _FRAME_BYTES))
    return [
        json.dumps(
            {
                "event": "media",
                "sequenceNumber": str(number + 2),
                "streamSid": "MZ1",
                "media": {
                    "track": "inbound",
                    "chunk": str(number + 1),
                    "timestamp": str(20 * number),
                    "payload": base64.b64encode(frame).decode(),
                },
            }
        )
        for number, frame in zip(range(round(CALL_SECS * 50)), frames, strict=False)
    ]


class Line:
    """Twilio, as far as a bot needs it: sends what it is given, and sends marks back.

    Args:
        messages: The caller's.
    """

    def __init__(self, messages: list[str]):
        self._messages = messages
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._marks: deque[tuple[float, str]] = deque()
        self._ends_at = 0.0
        self.websocket = WebSocket({"type": "websocket"}, self._waiting.get, self._take)

    async def open(self) -> None:
        """Connects."""
        self._waiting.put_nowait({"type": "websocket.connect"})
        await self.websocket.accept()
        self._say(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        self._say(json.dumps(_START))

    def _say(self, text: str) -> None:
        self._waiting.put_nowait({"type": "websocket.receive", "text": text})

    async def talk(self) -> None:
        """Has the caller say everything, and hang up."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, message in enumerate(self._messages):
            await asyncio.sleep(max(0.0, began + 0.02 * number - loop.time()))
            while self._marks and self._marks[0][0] <= loop.time():
                self._say(self._marks.popleft()[1])
            self._say(message)
        self._say(json.dumps({"event": "stop", "streamSid": "MZ1", "stop": {"callSid": "CA1"}}))
        self._waiting.put_nowait({"type": "websocket.disconnect"})

    async def _take(self, message: Any) -> None:
        text = message.get("text")
        if text is None:
            return
        now = asyncio.get_running_loop().time()
        match json.loads(text):
            case {"event": "media", "media": {"payload": payload}}:
                self._ends_at = max(self._ends_at, now) + len(payload) * 3 / 4 / 8000
            case {"event": "mark"} as mark:
                self._marks.append((self._ends_at, json.dumps(mark)))
            case _:
                self._ends_at = now
                self._marks = deque((now, mark) for _, mark in self._marks)


async def carry(messages: list[str], kept: KeptMetrics | None) -> float:
    """Carries one call; gives the processor time it took, milliseconds a minute."""
    gc.collect()
    began = time.process_time()
    line = Line(messages)
    await line.open()
    talking = asyncio.create_task(line.talk())
    transport = TwilioTransport(line.websocket)
    call = Call(transport, await transport.wait_for_start())
    measures = TimedMetrics(kept, transport) if kept is not None else None
    memory = PhoneContextAggregator()
    ears = [transport.input(), PhoneVAD(), Transcriber(audio_passthrough=False), memory.user()]
    await call.run(Pipeline([*ears, Responder(), Voice(), transport.output(), memory.assistant()]))
    if measures is not None:
        measures.ended(call.end_reason or CallEndReason.ERROR)
    await talking
    return 1000 * (time.process_time() - began) * 60 / CALL_SECS


async def measure_lag(kept: KeptMetrics) -> float:
    """Measures the loop's lag for a minute; gives the processor time it took, milliseconds."""
    began = time.process_time()
    lag = LoopLag()
    lag.follow = lambda late: kept.observe(metrics.LAG, max(0.0, late))
    lag.start()
    await asyncio.sleep(60.0)
    lag.stop()
    return 1000 * (time.process_time() - began)


async def main(rounds: int) -> None:
    """Measures, and prints."""
    messages = await caller_messages()
    registry = CollectorRegistry()
    kept = KeptMetrics(registry)
    # What all calls share is loaded by the first.
    await carry(messages, kept)
    took: dict[str, list[float]] = {"without": [], "with": []}
    for number in range(rounds):
        for side in ("without", "with") if number % 2 else ("with", "without"):
            took[side].append(await carry(messages, kept if side == "with" else None))
    for side, times in took.items():
        print(f"{side + ' metrics':<18}{min(times):8.1f} ms a minute of a call")
    pairs = zip(took["with"], took["without"], strict=True)
    ratios = [100 * (one / other - 1) for one, other in pairs]
    print(f"{'by the least':<18}{100 * (min(took['with']) / min(took['without']) - 1):+8.2f} %")
    print(f"{'by the median':<18}{statistics.median(ratios):+8.2f} %")
    own = TimedMetrics.took_ms / (rounds + 1) * 60 / CALL_SECS
    share = 100 * own / min(took["without"])
    print(f"{'their own code':<18}{own:8.2f} ms a minute of a call, {share:.2f} %")
    print(f"the event loop's lag: {await measure_lag(kept):.1f} ms a minute of a process")
    calls = rounds + 1
    answers = registry.get_sample_value(metrics.ANSWER.full_name + "_count") or 0.0
    barge_ins = registry.get_sample_value(metrics.BARGE_IN.full_name + "_count") or 0.0
    print(f"a call had {answers / calls:g} answers and {barge_ins / calls:g} interruptions")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40, help="calls of each side (40)")
    logger.remove()
    run(main(parser.parse_args().rounds))
