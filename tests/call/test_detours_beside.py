"""Detours beside all else that goes on: a deploy, recorders, filters, mixers, functions."""

import asyncio
import os
import signal
import wave
from pathlib import Path

import numpy as np
import pytest
from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.frames.frames import FilterControlFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams

from tests.call.test_detours import DetourBot, lengths
from tests.processors.test_background import Hum
from tests.vendors.fallback_bot import Scribe
from twilio_frames.call import Call, DetourResult
from twilio_frames.frames import CallAwayFrame, CallBackFrame, CallEndReason
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.pipecat_internals import tool_options
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.server import Server, ServerSettings, serve
from twilio_frames.services.openai import PhoneOpenAILLMService
from twilio_frames.testing import Phone, SimulatedTwilio
from twilio_frames.testing.vendors import FunctionCall, OpenAIServer
from twilio_frames.transport import CallRecorder, TwilioParams
from twilio_frames.twiml import Pause


@pytest.mark.parametrize("times", [1, 2])
async def test_server_that_is_to_stop_waits_for_a_call_that_is_away(times: int):
    """Once: to the call's end. Twice: it is ended, and comes back to nobody."""

    async def act(call: Call, bot: DetourBot) -> DetourResult:
        result = await call.detour(Pause(seconds=4))
        await bot.say(0.5)
        return result

    bot = DetourBot(act)
    up: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
    async with SimulatedTwilio() as twilio:
        settings = ServerSettings(auth_token=twilio.auth_token, warm=False)
        serving = asyncio.create_task(
            serve(bot, settings, port=0, started=up.set_result, announce=lambda _: None)
        )
        async with twilio.call(f"{(await up).url}/twiml") as caller:
            await bot.after.wait_for(CallAwayFrame)
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(0.5)
            await caller.wait_for_end(seconds=60)
        await asyncio.wait_for(serving, 60)

    if times == 1:
        assert await bot.reason is CallEndReason.BOT_HUNG_UP
        assert lengths(caller) == [pytest.approx(0.5, abs=0.03)]
    else:
        assert not bot.after.frames(CallBackFrame)
        assert bot.call.end_reason is CallEndReason.ERROR


async def test_recorder_and_log_hold_two_detours(phone: Phone, tmp_path: Path):
    async def act(call: Call, bot: DetourBot) -> DetourResult:
        call.transport.add_tap(CallRecorder(tmp_path / "call.wav"))
        result = DetourResult((), 0.0)
        for _ in range(2):
            await bot.say(0.5)
            result = await call.detour(Pause(seconds=2))
        await bot.say(0.5)
        return result

    bot = DetourBot(act)
    async with phone.call(bot) as caller:
        await caller.wait_for_end(seconds=60)
        await bot.result()

    with wave.open(str(tmp_path / "call.wav")) as recording:
        pcm = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
    loud = np.flatnonzero(np.abs(pcm.reshape(-1, 2)[:, 1]) > 500) / 8000
    recorded = [group[0] for group in np.split(loud, np.flatnonzero(np.diff(loud) > 1.0) + 1)]
    heard = [span.began_at for span in caller.result.heard_spans]
    assert np.diff(recorded) == pytest.approx(np.diff(heard), abs=0.1)


class Halved(BaseAudioFilter):
    """Makes the caller half as loud."""

    def __init__(self) -> None:
        self.starts = self.stops = self.calls = 0

    async def start(self, sample_rate: int) -> None:
        self.starts += 1

    async def stop(self) -> None:
        self.stops += 1

    async def process_frame(self, frame: FilterControlFrame) -> None: ...

    async def filter(self, audio: bytes) -> bytes:
        self.calls += 1
        return (np.frombuffer(audio, np.int16) // 2).astype(np.int16).tobytes()


async def test_filter_and_mixer_go_on_behind_a_return(phone: Phone):
    hum, halved = Hum(2000), Halved()
    calls: list[tuple[int, int]] = []

    async def act(call: Call, bot: DetourBot) -> DetourResult:
        await asyncio.sleep(1.0)
        result = await call.detour(Pause(seconds=2))
        calls.append((hum.calls, halved.calls))
        await asyncio.sleep(1.0)
        calls.append((hum.calls, halved.calls))
        return result

    bot = DetourBot(act)
    settings = ServerSettings(
        transport=TwilioParams(audio_in_filter=halved, audio_out_mixer=hum), warm=False
    )
    async with phone.call(bot, settings=settings) as caller:
        await caller.wait_for_end(seconds=30)
        await bot.result()

    (before, filtered), (after, filtered_after) = calls
    assert after > before
    assert filtered_after > filtered
    assert (halved.starts, halved.stops) == (1, 1)
    assert (len(hum.rates), hum.stops) == (1, 1)
    heard = {span.stream for span in caller.result.heard_spans}
    assert heard == {0, 1}, "the hum is heard on both streams"


async def test_function_that_times_out_meanwhile_is_answered_behind_the_return(phone: Phone):
    replies = ["One moment.", FunctionCall("look_up", {})], "I could not find it."
    backs: list[float] = []
    async with OpenAIServer(list(replies)) as server:

        async def bot(call: Call) -> None:
            @tool_options(timeout_secs=2.0, cancel_on_interruption=False)
            async def look_up(params: FunctionCallParams) -> None:
                """Look it up."""
                detours.append(asyncio.create_task(call.detour(Pause(seconds=5), at_once=True)))
                await asyncio.sleep(100.0)

            detours: list[asyncio.Task[DetourResult]] = []
            context = PhoneContextAggregator(LLMContext(tools=[look_up]))
            llm = PhoneOpenAILLMService(base_url=server.base_url, warm_up=False, api_key="k")
            ears = [call.transport.input(), PhoneVAD(), Scribe("Find it"), context.user()]
            voice = [llm, EspeakTTSService(), call.transport.output()]
            await call.run(Pipeline([*ears, *voice, context.assistant()]))
            backs.extend([(await each).away_secs for each in detours])

        async with phone.call(bot) as caller:
            await caller.say("Find it.")
            assert await caller.wait_until(lambda: len(server.asked) >= 2, seconds=30)
            await caller.wait_until_bot_speaks()
            await caller.wait_for_bot(seconds=30)
            spans = caller.result.heard_spans

    assert len(backs) == 1
    assert spans[-1].stream == 1
