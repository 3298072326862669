"""A realtime model's connection, and what is said of its troubles."""

import asyncio
from typing import Any

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    LLMContextFrame,
    TTSStoppedFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.openai.realtime import events
from pipecat.utils.errors import ErrorCategory
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from tests.services.realtime_rig import running, worker_service
from twilio_frames.frames import MulawOutputFrame
from twilio_frames.services.realtime.connection import RealtimeConnection
from twilio_frames.services.realtime.link import LinkFailure, delay_before
from twilio_frames.testing.vendors import RealtimeServer, SpokenReply


def refusal(status: int, **headers: str) -> InvalidStatus:
    return InvalidStatus(Response(status, "", Headers(headers), b""))


@pytest.mark.parametrize(
    ("status", "category", "is_final"),
    [
        (401, ErrorCategory.AUTHENTICATION, True),
        (404, ErrorCategory.INVALID_REQUEST, True),
        (429, ErrorCategory.RATE_LIMIT, False),
        (500, ErrorCategory.SERVER, False),
    ],
)
def test_refusals_are_told_apart(status: int, category: ErrorCategory, is_final: bool):
    failure = LinkFailure.of(refusal(status))

    assert (failure.category, failure.is_final) == (category, is_final)
    assert str(status) in failure.text


def test_delays_grow_and_are_bounded():
    failure = LinkFailure(text="")
    delays = [delay_before(attempt, failure) for attempt in range(1, 20)]

    assert 0.125 <= delays[0] <= 0.25
    assert max(delays) <= 4.0
    assert delay_before(1, LinkFailure.of(refusal(429, **{"Retry-After": "3"}))) == 3.0
    assert delay_before(1, LinkFailure.of(refusal(429, **{"Retry-After": "3600"}))) == 10.0
    assert LinkFailure.of(refusal(429, **{"Retry-After": "soon"})).wait is None


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

    def connect(url: str, **_: Any) -> None:
        dials.append(url)
        raise RuntimeError("secret")

    monkeypatch.setattr("twilio_frames.services.realtime.link.connect", connect)
    monkeypatch.setattr(RealtimeConnection, "MOST_ATTEMPTS", 2)
    async with running("ws://nowhere", apology_audio=b"\x00" * 800) as (_, before, behind):
        await behind.wait_for(MulawOutputFrame)

    errors = [frame.error for frame, _ in before.seen if isinstance(frame, ErrorFrame)]
    assert errors == ["expected a connection, got RuntimeError"]
    assert len(dials) == 3


async def test_end_of_the_pipeline_closes_the_session():
    async with RealtimeServer() as server:
        async with running(server):
            await server.asked_for("session.update")
        async with asyncio.timeout(3):
            await server.session.over.wait()

    assert len(server.sessions) == 1
