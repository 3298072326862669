"""A realtime model's connection, and what is said of its troubles."""

import asyncio
from itertools import repeat
from typing import Any

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    LLMContextFrame,
    TTSStoppedFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.openai.realtime import events

from tests.services.realtime_rig import running, worker_service
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.services import RetryPolicy
from twilio_frames.services.vendor_socket import VendorSocket
from twilio_frames.testing.vendors import RealtimeServer, Refusal, SpokenReply


async def test_error_of_the_model_is_told_once():
    async with RealtimeServer(replies=[SpokenReply.of("Yes.")]) as server:
        async with running(server) as (worker, before, behind):
            await server.asked_for("session.update")
            broken = events.SessionUpdateEvent(session=events.SessionProperties(type=None))
            llm = worker_service(worker)
            for _ in range(2):
                await llm.send_client_event(broken)
            await worker.queue_frame(LLMContextFrame(LLMContext()))
            await behind.wait_for(TTSStoppedFrame)

    errors = [frame.error for frame, _ in before.seen if isinstance(frame, ErrorFrame)]
    assert server.session.refused == ["missing_required_parameter"] * 2
    assert len(errors) == 1
    assert "missing_required_parameter at session.type" in errors[0]


@pytest.mark.parametrize("url", ["https://127.0.0.1/v1/realtime", "nowhere"])
async def test_bad_address_is_told_aloud(url: str):
    apology = b"\x00" * 800
    async with running(url, apology_audio=apology) as (worker, before, behind):
        spoken = await behind.wait_for(MulawOutputFrame)
        llm = worker_service(worker)

    errors = [frame.error for frame, _ in before.seen if isinstance(frame, ErrorFrame)]
    assert len(errors) == 1
    assert "begins with ws:// or wss://" in errors[0]
    assert isinstance(spoken, MulawOutputFrame)
    assert spoken.mulaw == apology
    assert not llm.is_usable


async def test_unknown_trouble_is_tried_again_and_told(monkeypatch: pytest.MonkeyPatch):
    dials: list[str] = []

    async def dial(url: str, *_: Any, **__: Any) -> None:
        dials.append(url)
        raise RuntimeError("secret")

    monkeypatch.setattr(VendorSocket, "open", dial)
    policy = RetryPolicy(give_up_secs=0.5)
    apology = b"\x00" * 800
    async with running("ws://nowhere", policy=policy, apology_audio=apology) as (_, before, behind):
        await behind.wait_for(MulawOutputFrame)

    (error,) = [frame.error for frame, _ in before.seen if isinstance(frame, ErrorFrame)]
    assert error.startswith("expected a connection to OpenAI, got none for too long (RuntimeError)")
    assert len(dials) > 2


async def test_model_that_ends_the_session_for_good_is_not_asked_again():
    async with RealtimeServer() as server:
        async with running(server, apology_audio=b"\x00" * 800) as (_, before, behind):
            await server.asked_for("session.update")
            await server.session.send("error", error={"code": "insufficient_quota"})
            await behind.wait_for(MulawOutputFrame)

    (error,) = [frame.error for frame, _ in before.seen if isinstance(frame, ErrorFrame)]
    assert "insufficient_quota: check the account" in error
    assert len(server.sessions) == 1


async def test_caller_who_asks_in_an_outage_is_told_each_time():
    policy = RetryPolicy(give_up_secs=0.5, longest_pause_secs=0.3)
    apology = b"\x00" * 800
    async with RealtimeServer(faults=repeat(Refusal(status=503))) as server:
        async with running(server, policy=policy, apology_audio=apology) as (worker, _, behind):
            await behind.wait_for(MulawOutputFrame)
            tries = len(server.visits) + 2
            await server.until(lambda: len(server.visits) >= tries)
            assert len(behind.frames(MulawOutputFrame)) == 1

            await worker.queue_frame(LLMContextFrame(LLMContext()))
            await behind.wait_for(MulawOutputFrame, count=2)


async def test_end_of_the_pipeline_closes_the_session():
    async with RealtimeServer() as server:
        async with running(server):
            await server.asked_for("session.update")
        async with asyncio.timeout(3):
            await server.session.over.wait()

    assert len(server.sessions) == 1
