"""Replies in which nothing is said: asked of another LLM, or apologised for, whoever makes them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from pipecat.frames.frames import (
    EndWorkerFrame,
    ErrorFrame,
    Frame,
    FunctionCallFromLLM,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMServiceMetadataFrame,
    LLMTextFrame,
    LLMThoughtTextFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.tests.utils import run_test

from tests.processors.fallback_rig import asked, running, vendors
from tests.vendors.faults import bad_day
from tests.waiting import time_passes
from twilio_frames.call import Call
from twilio_frames.errors import BotFailedError
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.fallback import LLMFallback, VendorState
from twilio_frames.processors.llm import PythonLLMService, is_responding
from twilio_frames.processors.replies.apology import APOLOGY
from twilio_frames.processors.replies.empty import EmptyReplies, is_speakable
from twilio_frames.processors.replies.filler import FillerFrame
from twilio_frames.processors.tts import PythonTTSService, SpeechChunk
from twilio_frames.testing.phone import Phone
from twilio_frames.testing.phone.mistakes import mistake_of

NOTHING = [[], [""], [" ", "\n\n"], ["\u200b"], ["..."], [" \N{EM DASH} "]]


class Own(PythonLLMService):
    """Says these pieces, or pushes these frames."""

    def __init__(self, *pieces: str | Frame, **kwargs):
        super().__init__(**kwargs)
        self.pieces: Sequence[str | Frame] = pieces

    async def respond(self, context: LLMContext) -> AsyncIterator[str]:
        for piece in self.pieces:
            if isinstance(piece, str):
                yield piece
            elif isinstance(piece, EndWorkerFrame):
                await self.push_frame(piece, FrameDirection.UPSTREAM)
            else:
                await self.push_frame(piece)


class Foreign(LLMService):
    """Replies as services of Pipecat's do: whatever happens, it says that the reply is over."""

    def __init__(self, *pieces: str | Frame | Exception | None, is_realtime: bool = False):
        super().__init__()
        self.pieces: Sequence[str | Frame | Exception | None] = pieces
        self.is_realtime = is_realtime
        self.hangs = asyncio.Event()
        self.asked = 0

    def service_metadata_frame(self) -> LLMServiceMetadataFrame:
        return LLMServiceMetadataFrame(service_name=self.name, is_realtime_service=self.is_realtime)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        self.asked += 1
        try:
            await self.push_frame(LLMFullResponseStartFrame())
            await self._reply(frame.context)
        except Exception as error:
            await self.push_error("expected a reply, got none", exception=error)
        finally:
            await self.push_frame(LLMFullResponseEndFrame())

    async def _reply(self, context: LLMContext) -> None:
        for piece in self.pieces:
            match piece:
                case None:
                    self.hangs.set()
                    await asyncio.Event().wait()
                case Exception():
                    raise piece
                case str():
                    await self.push_frame(LLMTextFrame(piece))
                case _:
                    await self.push_frame(piece)


class Calling(Foreign):
    async def _reply(self, context: LLMContext) -> None:
        call = FunctionCallFromLLM("look_up", "1", {}, context)
        await self.run_function_calls([call])


class MuteTTS(PythonTTSService):
    async def synthesise(self, text: str) -> AsyncIterator[SpeechChunk]:
        raise AssertionError("expected nothing to be spoken")
        yield


def said(frames: Sequence[Frame]) -> str:
    texts = [frame.text for frame in frames if isinstance(frame, LLMTextFrame | TTSSpeakFrame)]
    return "".join(texts).strip()


def errors(frames: Sequence[Frame]) -> list[str]:
    return [frame.error for frame in frames if isinstance(frame, ErrorFrame)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), (" \n", False), ("\u200b", False), ("... \N{EM DASH}!", False)]
    + [(text, True) for text in ("7", "ja", "\N{EURO SIGN}", "ใช่", "\N{WHITE CIRCLE}")],
)
def test_what_a_voice_can_say(text: str, expected: bool):
    assert is_speakable(text) is expected


@pytest.mark.parametrize("pieces", NOTHING)
async def test_response_of_own_code_without_words_is_apologised_for(pieces: list[str]):
    down, up = await run_test(Own(*pieces, apology="Sorry."), frames_to_send=[asked()])

    assert said(down).endswith("Sorry.")
    assert isinstance(down[-1], LLMFullResponseEndFrame)
    (reason,) = errors(up)
    assert reason.startswith("expected respond() to say something, got no words: ")


@pytest.mark.parametrize(
    "frame", [TTSSpeakFrame("One moment."), EndWorkerFrame(reason="all is said")]
)
async def test_response_of_own_code_that_acts_is_no_failure(frame: Frame):
    down, up = await run_test(Own(frame, apology="Sorry."), frames_to_send=[asked()])

    assert "Sorry." not in said(down)
    assert errors(up) == []


async def test_filler_is_no_answer():
    down, _ = await run_test(
        Own(FillerFrame("One moment. "), apology="Sorry."), frames_to_send=[asked()]
    )

    assert said(down) == "One moment. Sorry."


async def test_own_code_may_be_silent_if_it_says_so():
    down, up = await run_test(Own(may_be_silent=True), frames_to_send=[asked()])

    assert said(down) == ""
    assert errors(up) == []


async def test_own_code_without_words_is_told_what_to_do():
    _, up = await run_test(Own(), frames_to_send=[asked()])

    (error,) = [frame for frame in up if isinstance(frame, ErrorFrame)]
    assert "may_be_silent=True" in error.error
    assert isinstance(mistake_of(error), BotFailedError)


async def test_response_knows_what_is_awaited_in_it_and_what_is_a_task_of_its_own():
    seen: list[bool] = []

    class Acting(PythonLLMService):
        async def respond(self, context: LLMContext) -> AsyncIterator[str]:
            async def act() -> None:
                seen.append(is_responding())

            await act()
            await asyncio.create_task(act())
            yield "Done."

    await run_test(Acting(), frames_to_send=[asked()])

    assert [*seen, is_responding()] == [True, False, False]


async def test_behind_a_result_there_may_be_nothing_to_say():
    context = LLMContext()
    context.add_message({"role": "tool", "content": "done", "tool_call_id": "1"})
    down, up = await run_test(Own(), frames_to_send=[LLMContextFrame(context)])

    assert said(down) == ""
    assert errors(up) == []


def foreign(*pieces: str | Frame | Exception | None) -> LLMService:
    return Foreign(*pieces)


def own(*pieces: str) -> LLMService:
    return Own(*pieces)


@pytest.mark.parametrize("kind", [foreign, own])
@pytest.mark.parametrize("pieces", NOTHING)
async def test_next_llm_is_asked_where_one_says_nothing(
    kind: Callable[..., LLMService], pieces: list[str]
):
    llm = LLMFallback([kind(*pieces), own("Hello.")], vendors=vendors(), names=("first", "second"))
    async with running(llm) as rig:
        await rig.give(asked())
        await rig.replied()

    assert rig.said().strip(" .\N{EM DASH}\u200b") == "Hello"
    assert rig.switches == [("first", "second")]
    assert len(rig.passed(LLMFullResponseStartFrame)) == 1
    assert llm.health[0].state is not VendorState.WELL
    assert llm.health[0].successes == 0


async def test_fallback_apologises_where_all_say_nothing():
    llm = LLMFallback([foreign(" "), foreign()], vendors=vendors(), apology="Sorry.")
    async with running(llm) as rig:
        await rig.give(asked())
        await rig.replied()
        assert rig.said() == "Sorry."
        assert len(rig.errors) == 1
        assert len(rig.passed(LLMFullResponseEndFrame)) == 1


async def test_stream_of_spaces_does_not_keep_the_fallback_waiting():
    class Dribbling(Foreign):
        async def _reply(self, context: LLMContext) -> None:
            while True:
                await self.push_frame(LLMTextFrame(" "))
                await time_passes(0.1)

    llm = LLMFallback([Dribbling(), own("Hello.")], vendors=vendors(), patience_secs=0.3)
    async with running(llm) as rig:
        await rig.give(asked())
        await rig.replied()

    assert rig.said().strip() == "Hello."


async def test_fallback_lets_functions_speak_for_the_llm():
    llm = LLMFallback([foreign(TTSSpeakFrame("I'll see.")), own("Hello.")], vendors=vendors())
    async with running(llm) as rig:
        await rig.give(asked())
        await rig.replied()
        assert said([frame for frame, _ in rig.after.seen]) == "I'll see."
        assert rig.switches == []


async def of_foreign(llm: Foreign, apology: str = "Sorry.") -> tuple[str, list[str]]:
    EmptyReplies(llm, apology)
    down, up = await run_test(llm, frames_to_send=[asked()])
    return said(down), errors(up)


@pytest.mark.parametrize("pieces", [*NOTHING, [LLMThoughtTextFrame("Hm.")]])
async def test_foreign_llm_is_apologised_for(pieces: list[str]):
    words, reproach = await of_foreign(Foreign(*pieces))

    assert words.endswith("Sorry.")
    assert reproach == ["expected a reply with words or a function call, got an empty one"]


async def test_foreign_llm_that_fails_is_apologised_for_with_its_own_error():
    assert await of_foreign(Foreign(LookupError())) == ("Sorry.", ["expected a reply, got none"])


async def test_foreign_llm_that_says_something_is_let_be():
    assert await of_foreign(Foreign(" ", "Hello.")) == ("Hello.", [])


async def test_foreign_llm_that_calls_a_function_is_let_be():
    llm = Calling()
    llm.register_function("look_up", _looks_up)

    assert await of_foreign(llm) == ("", [])


async def _looks_up(params) -> None:
    await params.result_callback("nothing", properties=None)


async def test_model_with_a_voice_of_its_own_is_let_be():
    assert await of_foreign(Foreign(is_realtime=True)) == ("", [])


async def test_interrupted_reply_is_not_apologised_for():
    llm = Foreign(None)
    EmptyReplies(llm, "Sorry.")
    async with running(Pipeline([llm])) as rig:
        await rig.give(asked())
        await llm.hangs.wait()
        await rig.give(InterruptionFrame())
        await rig.replied()

        assert rig.said() == ""
        assert rig.errors == []


@bad_day(
    "air",
    "a model that replies without a word: nothing, spaces, dots",
    "Nothing, where it is asked again or there is a second LLM; else an apology.",
)
async def test_caller_of_a_foreign_llm_hears_the_apology(phone: Phone):
    llm, context = Foreign(" "), PhoneContextAggregator()

    async def bot(call: Call) -> None:
        parts = [call.transport.input(), context.user(), llm, MuteTTS()]
        pipeline = Pipeline([*parts, call.transport.output(), context.assistant()])
        await call.run(pipeline, begin_with=[TTSSpeakFrame("Hello.")])

    async with phone.text(bot) as talk:
        await talk.reply()
        assert await talk.say("When do you open?") == APOLOGY
        llm.pieces = ["At nine."]
        assert await talk.say("When do you open?") == "At nine."
        assert talk.memory[2] == ("assistant", APOLOGY)


async def test_own_llm_beside_our_parts_is_apologised_for_once(phone: Phone):
    llm, context = Own(" ", apology="Sorry."), PhoneContextAggregator()

    async def bot(call: Call) -> None:
        parts = [call.transport.input(), context.user(), llm, MuteTTS()]
        pipeline = Pipeline([*parts, call.transport.output(), context.assistant()])
        await call.run(pipeline, begin_with=[TTSSpeakFrame("Hello.")])

    async with phone.text(bot, keep_errors=True) as talk:
        await talk.reply()
        assert await talk.say("When do you open?") == "Sorry."
        llm.pieces = ["At nine."]
        assert await talk.say("When do you open?") == "At nine."
