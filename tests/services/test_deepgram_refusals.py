"""What becomes of a Deepgram that refuses, or is given up."""

import asyncio
import time
from itertools import repeat

import pytest
from pipecat.frames.frames import (
    STTUpdateSettingsFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyFailover
from pipecat.utils.errors import ErrorCategory

from tests.services.deepgram_rig import Settings, hearing, service
from tests.waiting import until
from twilio_frames.audio import mulaw_silence
from twilio_frames.processors.replies.apology import NOT_HEARD
from twilio_frames.services import RetryPolicy
from twilio_frames.testing.vendors import (
    DeepgramServer,
    Drop,
    Hang,
    Refusal,
    WordSounds,
)


@pytest.mark.parametrize(
    ("status", "category", "advice"),
    [
        (400, ErrorCategory.INVALID_REQUEST, "change the settings"),
        (401, ErrorCategory.AUTHENTICATION, "set DEEPGRAM_API_KEY"),
        (402, ErrorCategory.QUOTA, "add credit"),
        (403, ErrorCategory.AUTHORIZATION, "give the key the right"),
    ],
)
async def test_lasting_refusal_is_one_error(status: int, category: ErrorCategory, advice: str):
    async with DeepgramServer(faults=[Refusal(status=status)] * 9) as server:
        stt = service(server)
        async with hearing(stt) as rig:
            assert await rig.apology() == NOT_HEARD

    (error,) = rig.errors
    assert error.category is category
    assert advice in error.error
    assert f"HTTP {status}" in error.error
    assert not stt.is_usable
    assert len(server.visits) == 1


async def test_error_says_what_deepgram_said():
    async with DeepgramServer() as server:
        stt = service(server, settings=Settings(keywords=["latte"]))
        async with hearing(stt) as rig:
            await rig.apology()
    assert "Keywords are not supported for Nova-3" in rig.errors[0].error


async def test_apology_again_if_caller_speaks():
    async with DeepgramServer(faults=[Refusal(status=401)]) as server:
        async with hearing(service(server, apology="I'm deaf.")) as rig:
            await rig.apology()
            for _ in range(5):
                await rig.begin_to_speak()
                await rig.fall_silent()
            await rig.after.wait_for(TTSSpeakFrame, count=3)
    texts = [f.text for f in rig.after.frames(TTSSpeakFrame) if isinstance(f, TTSSpeakFrame)]
    assert texts == ["I'm deaf."] * 3


async def test_apology_may_be_left_out():
    async with DeepgramServer(faults=[Refusal(status=401)]) as server:
        async with hearing(service(server, apology="")) as rig:
            await rig.begin_to_speak()
            await rig.fall_silent()
            await until(lambda: rig.errors)
    assert len(rig.errors) == 1
    assert not rig.after.frames(TTSSpeakFrame)


async def test_other_settings_are_another_chance():
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, faults=[Refusal(status=400)]) as server:
        stt = service(server)
        async with hearing(stt) as rig:
            await rig.apology()
            await rig.worker.queue_frame(STTUpdateSettingsFrame(delta=Settings(model="nova-2")))
            await server.until(lambda: bool(server.streams))
            await rig.say(sounds.bursts("hello") + mulaw_silence(0.5))
            await rig.has_words(1)
    assert server.streams[0].query.model == "nova-2"
    assert stt.is_usable


@pytest.mark.parametrize("status", [429, 500])
async def test_passing_refusal_is_tried_again(status: int):
    sounds = WordSounds()
    async with DeepgramServer(hears=sounds.hear, faults=[Refusal(status=status)] * 2) as server:
        async with hearing(service(server)) as rig:
            await rig.say(sounds.bursts("hello") + mulaw_silence(0.5))
            await rig.has_words(1)
    assert rig.words == ["hello"]
    assert not rig.errors
    gaps = [
        later.at - earlier.at
        for earlier, later in zip(server.visits, server.visits[1:], strict=False)
    ]
    assert gaps[1] >= 0.12


@pytest.mark.parametrize("fault", [Refusal(status=500), Drop(), Hang()])
async def test_patience_ends_and_hearing_comes_back(fault: Refusal | Drop | Hang):
    sounds = WordSounds()
    policy = RetryPolicy(give_up_secs=0.5, answer_secs=0.2)
    async with DeepgramServer(hears=sounds.hear, faults=[fault] * 200) as server:
        stt = service(server, policy=policy)
        async with hearing(stt) as rig:
            while not rig.errors:
                await rig.say(sounds.bursts("noise"), speed=10)
            assert not stt.is_usable
            await rig.apology()
            usable = asyncio.Event()
            stt.add_event_handler("on_usable_changed", lambda *_: usable.set())
            server.go_wrong()
            await usable.wait()
            assert stt.is_usable
            await rig.say(sounds.bursts("hello") + mulaw_silence(0.5))
            await rig.has_words(1)

    (error,) = rig.errors
    assert "tried again" in error.error
    assert rig.words[-1] == "hello"


async def test_deepgram_that_hangs_for_ever_is_given_up():
    sounds = WordSounds()
    policy = RetryPolicy(give_up_secs=1.5, answer_secs=0.45, open_secs=1.0)
    news: list[bool] = []
    async with DeepgramServer(hears=sounds.hear, faults=repeat(Hang())) as server:
        stt = service(server, policy=policy)
        stt.add_event_handler("on_usable_changed", lambda _, usable: news.append(usable))
        async with hearing(stt) as rig:
            began = time.monotonic()
            while not rig.after.frames(TTSSpeakFrame):
                await rig.say(sounds.bursts("noise"), speed=1)
            assert time.monotonic() - began < 2.8
            streams = len(server.streams)
            await server.until(lambda: len(server.streams) >= streams + 3)
            assert not stt.is_usable

    assert news == [False]
    assert len(rig.errors) == 1
    assert len(rig.after.frames(TTSSpeakFrame)) == 1


async def test_deepgram_given_up_is_asked_before_it_counts():
    """The caller's words stay away meanwhile; silence is what it has to answer."""
    async with DeepgramServer(faults=[Refusal(status=500)] * 6) as server:
        stt = service(server, policy=RetryPolicy(give_up_secs=0.2))
        usable = asyncio.Event()
        async with hearing(stt) as rig:
            await rig.apology()
            stt.add_event_handler("on_usable_changed", lambda *_: usable.set())
            await usable.wait()

    (stream,) = server.streams
    assert set(stream.audio[: 3 * 8000]) == set(mulaw_silence(0.1))
    assert stream.answers


async def test_another_service_takes_over():
    """Pipecat's switch goes over to it, and the caller hears no apology."""
    sounds = WordSounds()
    refused, heard = asyncio.Event(), asyncio.Event()
    async with (
        DeepgramServer(faults=[Refusal(status=401)] * 9) as bad,
        DeepgramServer(hears=sounds.hear) as good,
    ):
        first, second = service(bad), service(good)
        switch = ServiceSwitcher([first, second], ServiceSwitcherStrategyFailover)
        first.add_event_handler("on_usable_changed", lambda *_: refused.set())
        switch.strategy.add_event_handler("on_service_switched", lambda *_: heard.set())
        async with hearing(switch) as rig:
            await refused.wait()
            await heard.wait()
            await rig.say(mulaw_silence(2), speed=10)
            await rig.say(sounds.bursts("hello there", pause=0.0) + mulaw_silence(0.5))
            await rig.has_words(2)
    assert rig.words == ["hello", "there"]
    assert not rig.after.frames(TTSSpeakFrame)
