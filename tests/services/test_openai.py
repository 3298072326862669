"""What OpenAI's service asks for, again or anew, and what it makes of the answers."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyFailover
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams, LLMService
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.utils.errors import ErrorCategory

from twilio_frames.frames import FailureKind, VendorRole
from twilio_frames.processors.fallback.vendor_health import VENDORS
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.processors.replies.apology import APOLOGY
from twilio_frames.services.openai import PhoneOpenAILLMService, ReplyPolicy
from twilio_frames.services.openai.connections import SHARED, shared_connections
from twilio_frames.testing.vendors import Drop, EarlyEnd, Garbage, Hang, OpenAIServer, Refusal

HELLO = "Hello, how are you today?"


def service(server: OpenAIServer, *, model: str = "gpt-4.1", **options: Any):
    return PhoneOpenAILLMService(
        base_url=server.base_url,
        settings=PhoneOpenAILLMService.Settings(model=model),
        **{"filler_after": None, "warm_up": False, **options},
    )


def conversation(*texts: str) -> LLMContextFrame:
    return LLMContextFrame(LLMContext([{"role": "user", "content": text} for text in texts]))


def said(frames: Sequence[Frame]) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))


def errors_in(frames: Sequence[Frame]) -> list[ErrorFrame]:
    return [frame for frame in frames if isinstance(frame, ErrorFrame)]


async def turn(llm: PhoneOpenAILLMService, *texts: str) -> tuple[str, list[ErrorFrame]]:
    down, up = await run_test(llm, frames_to_send=[conversation(*texts or ("Hi.",))])
    return said(down), errors_in(up)


def test_private_names_of_pipecat_exist():
    assert hasattr(LLMService, "_run_function_call")


async def test_request_is_as_pipecat_makes_it():
    async with OpenAIServer([HELLO], keys={"sk-1"}) as server:
        llm = service(
            server,
            api_key="sk-1",
            model="gpt-4.1-mini",
        )
        assert await turn(llm) == (HELLO, [])

    (asked,) = server.asked
    assert asked.body["model"] == "gpt-4.1-mini"
    assert asked.body["stream_options"] == {"include_usage": True}
    assert asked.messages == [{"role": "user", "content": "Hi."}]


async def test_local_server_needs_no_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-openai-alone")
    async with OpenAIServer([HELLO]) as server:
        assert await turn(service(server)) == (HELLO, [])

    assert [visit.key for visit in server.visits] == ["none"]


async def test_connection_is_warm_before_the_first_request():
    async with OpenAIServer([HELLO]) as server, shared_connections():
        llm = service(server, warm_up=True)
        await run_test(llm, frames_to_send=[])
        await llm.warm()
        assert server.visits[-1].path == "/v1/models/gpt-4.1"


async def test_connections_are_closed_by_the_last_call():
    async with OpenAIServer([HELLO, HELLO]) as server:
        async with shared_connections():
            await turn(service(server))
            (shared,) = SHARED.values()
            await turn(service(server))
            assert list(SHARED.values()) == [shared]
            assert not shared.connections.is_closed
        assert shared.connections.is_closed
        assert not SHARED


@pytest.mark.parametrize(
    "fault",
    [
        Drop(),
        Drop(after=1),
        Drop(after=4),
        EarlyEnd(),
        EarlyEnd(after=1),
        EarlyEnd(after=4),
        Garbage(after=2),
        Hang(after=3),
    ],
)
async def test_break_is_not_heard(fault):
    async with OpenAIServer([HELLO, HELLO], faults=[fault]) as server:
        llm = service(server, policy=ReplyPolicy(next_words_secs=0.3))
        assert await turn(llm) == (HELLO, [])


@pytest.mark.parametrize("fault", [Drop(after=4), EarlyEnd(after=4)])
async def test_rest_is_joined_to_what_was_said(fault):
    async with OpenAIServer([HELLO, "are you today?"], faults=[fault]) as server:
        assert await turn(service(server)) == (HELLO, [])
    _, partial, note = server.asked[1].messages
    assert partial == {"role": "assistant", "content": "Hello, how"}
    assert note["role"] == "user"


async def test_refused_key_is_a_failure_and_no_first_byte(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(VENDORS, "_vendors", {})
    async with OpenAIServer(keys={"sk-another"}) as server:
        llm = service(server, api_key="sk-1")
        words, errors = await turn(llm)
    health = VENDORS.of(VendorRole.LLM, "openai")

    assert (words, len(errors)) == (APOLOGY, 1)
    assert health.failures == {FailureKind.REFUSED: 1}
    assert (health.successes, health.first_byte(0.5)) == (0, None)


async def test_failed_rest_ends_in_an_apology():
    faults = [Drop(after=4), Refusal(status=400)]
    async with OpenAIServer([HELLO], faults=faults) as server:
        text, (error,) = await turn(service(server))
    assert text == f"Hello, how \N{EM DASH} {APOLOGY}"
    assert error.category is ErrorCategory.APPLICATION


async def test_retry_after_beyond_the_budget_is_not_waited_for():
    async with OpenAIServer(faults=[Refusal(status=429, retry_after=30)]) as server:
        text, (error,) = await turn(service(server))
    assert text == APOLOGY
    assert error.category is ErrorCategory.RATE_LIMIT
    assert len(server.visits) == 1


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (401, ErrorCategory.AUTHENTICATION),
        (403, ErrorCategory.AUTHORIZATION),
        (404, ErrorCategory.INVALID_REQUEST),
    ],
)
async def test_lasting_refusal_is_told_once(status: int, category: ErrorCategory):
    async with OpenAIServer([HELLO], faults=[Refusal(status=status)]) as server:
        llm = service(server, api_key="sk-secret")
        down, up = await run_test(llm, frames_to_send=[conversation("Hi."), conversation("Hi?")])
    assert said(down) == APOLOGY * 2
    (error,) = errors_in(up)
    assert error.category is category
    assert not llm.is_usable
    assert f"HTTP {status}" in error.error
    assert "secret" not in error.error
    assert len(server.visits) == 1


async def test_bad_message_leaves_the_service_usable():
    async with OpenAIServer() as server:
        llm = service(server)
        context = LLMContext([{"role": "tool", "content": "7", "tool_call_id": "call1"}])
        down, up = await run_test(llm, frames_to_send=[LLMContextFrame(context)])
    assert said(down) == APOLOGY
    (error,) = errors_in(up)
    assert error.category is ErrorCategory.APPLICATION
    assert llm.is_usable


async def test_context_that_is_none_brings_an_apology(monkeypatch: pytest.MonkeyPatch):
    def unfit(*_: object) -> None:
        raise LookupError("a file of the caller's")

    async with OpenAIServer() as server:
        llm = service(server)
        monkeypatch.setattr(llm, "build_chat_completion_params", unfit)
        text, (error,) = await turn(llm)
    assert text == APOLOGY
    assert error.category is ErrorCategory.APPLICATION
    assert "file" not in error.error
    assert llm.is_usable


async def test_bad_setting_is_lasting():
    async with OpenAIServer() as server:
        llm = PhoneOpenAILLMService(
            base_url=server.base_url,
            settings=PhoneOpenAILLMService.Settings(model="gpt-4.1", temperature=7.0),
            warm_up=False,
        )
        text, (error,) = await turn(llm)
    assert text == APOLOGY
    assert error.category is ErrorCategory.INVALID_REQUEST
    assert not llm.is_usable


async def test_second_service_takes_over():
    class Second(PythonLLMService):
        async def respond(self, context):
            yield "I am the second."

    async with OpenAIServer(keys={"sk-1"}) as server:
        first = service(server, api_key="sk-2", apology="")
        switcher = ServiceSwitcher([first, Second()], ServiceSwitcherStrategyFailover)
        down, _ = await run_test(
            Pipeline([switcher]),
            frames_to_send=[conversation("Hi."), SleepFrame(0.5), conversation("Hi?")],
        )
    assert said(down) == "I am the second."


async def test_empty_reply_is_asked_for_again():
    async with OpenAIServer(["", HELLO]) as server:
        assert await turn(service(server)) == (HELLO, [])


async def test_nothing_to_say_behind_a_result():
    async with OpenAIServer(["", HELLO]) as server:
        context = LLMContext([
            {"role": "user", "content": "Goodbye."},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "call1",
                        "type": "function",
                        "function": {"name": "hang_up", "arguments": "{}"},
                    }
                ],
            },
            {"role": "tool", "content": "done", "tool_call_id": "call1"},
        ])  # fmt: skip
        down, up = await run_test(service(server), frames_to_send=[LLMContextFrame(context)])
    assert (said(down), errors_in(up)) == ("", [])
    assert len(server.asked) == 1


async def test_whole_reply_has_a_limit():
    async with OpenAIServer([HELLO], token_seconds=0.2) as server:
        llm = service(server, policy=ReplyPolicy(reply_secs=0.5))
        times_out: list[object] = []

        async def timed_out(*_: object) -> None:
            times_out.append(True)

        llm.add_event_handler("on_completion_timeout", timed_out)
        text, (error,) = await turn(llm)
        await server.was_broken_off()
    assert text.startswith("Hello,")
    assert text.endswith(APOLOGY)
    assert "expected the whole reply within 0.5 s" in error.error
    assert error.category is ErrorCategory.CONNECTIVITY
    assert times_out == [True]


async def test_error_texts_hold_no_words():
    secret = "my number is 5550100"
    async with OpenAIServer() as server:
        llm = service(server)
        down, up = await run_test(
            llm,
            frames_to_send=[LLMContextFrame(LLMContext([{"role": "caller", "content": secret}]))],  # pyright: ignore
        )
    assert said(down) == APOLOGY
    assert all(secret not in error.error for error in errors_in(up))


async def test_inference_outside_the_call_is_tried_again():
    async with OpenAIServer(["A summary."], faults=[Refusal(status=500)]) as server:
        llm = service(server)
        frame = conversation("Hi.")
        assert await llm.run_inference(frame.context) == "A summary."
        await llm.cleanup()
    assert server.asked[0].body["stream"] is False


async def test_eager_reply_is_held_until_the_turn_ends():
    async with OpenAIServer([HELLO]) as server:
        eager = conversation("Hi.")
        eager.speculation = True
        down, _ = await run_test(
            service(server),
            frames_to_send=[UserStartedSpeakingFrame(), eager, UserStoppedSpeakingFrame()],
        )
    kinds = [type(frame) for frame in down]
    assert kinds.index(UserStoppedSpeakingFrame) < kinds.index(LLMTextFrame)
    assert kinds.index(LLMTextFrame) < kinds.index(LLMFullResponseEndFrame)
    assert said(down) == HELLO


async def test_tools_reach_the_server():
    async def order(params: FunctionCallParams, size: str) -> None:
        """Orders."""

    async with OpenAIServer([HELLO]) as server:
        context = LLMContext([{"role": "user", "content": "Hi."}], tools=[order])
        await run_test(service(server), frames_to_send=[LLMContextFrame(context)])
    assert server.asked[0].body["tools"][0]["function"]["name"] == "order"


async def test_calls_share_connections():
    async with OpenAIServer([HELLO] * 4) as server:
        answers = await asyncio.gather(*(turn(service(server)) for _ in range(4)))
    assert answers == [(HELLO, [])] * 4
    assert not SHARED
