"""A bot that is talked with in writing hears, speaks and remembers as it does on the telephone."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from pipecat.frames.frames import EndFrame, InputDTMFFrame, LLMRunFrame, TTSSpeakFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameProcessor

from tests.waiting import others_run, time_passes
from twilio_frames.call import Call, phone_worker
from twilio_frames.errors import CallFailedError
from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.frames import CallEndReason, MarkReachedFrame, SendMarkFrame
from twilio_frames.local.llm import DialogueLLMService
from twilio_frames.processors.clips import Clip, SpeakClipFrame
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.processors.greeting import Greeting
from twilio_frames.processors.llm import PythonLLMService
from twilio_frames.processors.stt import UtteranceSTTService
from twilio_frames.processors.tts import PythonTTSService
from twilio_frames.processors.vad import PhoneVAD
from twilio_frames.testing import Phone
from twilio_frames.testing.text import TextConversation
from twilio_frames.testing.text.line import TextEar


class DeafSTT(UtteranceSTTService):
    async def setup(self, setup):
        raise AssertionError("expected the STT to be left out")

    async def transcribe(self, pcm: bytes) -> str:
        raise AssertionError("expected no audio")


class MuteTTS(PythonTTSService):
    async def setup(self, setup):
        raise AssertionError("expected the TTS to be left out")

    async def synthesise(self, text: str):
        raise AssertionError("expected nothing to be spoken")
        yield


class Counting(PythonLLMService):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.cancelled = 0

    async def respond(self, context) -> AsyncIterator[str]:
        messages = [message for message in context.get_messages() if isinstance(message, dict)]
        said = [message.get("content") for message in messages if message["role"] == "user"]
        if said[-1:] == ["Think."]:
            yield "Well, let me see. Now"
            try:
                await time_passes(60)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        # In pieces that end within words.
        for piece in ("Tu", "rn ", f"{len(said)}. One tw", "o three four."):
            await others_run()
            yield piece


def pipeline_of(call: Call, llm: FrameProcessor, *behind: FrameProcessor) -> Pipeline:
    context = PhoneContextAggregator()
    return Pipeline([
        call.transport.input(),
        PhoneVAD(),
        DeafSTT(),
        context.user(),
        llm,
        MuteTTS(),
        *behind,
        call.transport.output(),
        context.assistant(),
    ])  # fmt: skip


async def counting_bot(call: Call) -> None:
    await call.run(pipeline_of(call, Counting()), begin_with=[LLMRunFrame()])


async def test_bot_answers_in_writing(phone: Phone):
    async with phone.text(counting_bot) as talk:
        assert await talk.reply() == "Turn 0. One two three four."
        assert await talk.say("Hello.") == "Turn 1. One two three four."
        assert await talk.say("And on.") == "Turn 2. One two three four."

        assert talk.memory[:2] == [
            ("assistant", "Turn 0. One two three four."),
            ("user", "Hello."),
        ]
    assert talk.end_reason is CallEndReason.CALLER_HUNG_UP


async def test_cut_words_are_forgotten(phone: Phone):
    async with phone.text(counting_bot) as talk:
        await talk.reply()
        assert await talk.say("Hello.", cut_after=3) == "Turn 1. One"
        assert await talk.say("No, wait.") == "Turn 2. One two three four."

        assert talk.memory[1:] == [
            ("user", "Hello."),
            ("assistant", "Turn 1. One"),
            ("user", "No, wait."),
            ("assistant", "Turn 2. One two three four."),
        ]


async def test_reply_goes_on_after_a_cut(phone: Phone):
    async with phone.text(counting_bot) as talk:
        await talk.reply(cut_after=1)
        assert await talk.reply(cut_after=2) == "0. One"
        assert await talk.reply() == "two three four."
        await talk.say("Hello.")
        assert talk.memory[0] == ("assistant", "Turn 0. One two three four.")


async def test_cut_cancels_the_response(phone: Phone):
    llm = Counting()

    async def bot(call: Call) -> None:
        await call.run(pipeline_of(call, llm), begin_with=[LLMRunFrame()])

    async with phone.text(bot) as talk:
        await talk.reply()
        assert await talk.say("Think.", cut_after=4) == "Well, let me see."
        assert await talk.say("Never mind.") == "Turn 2. One two three four."
    assert llm.cancelled == 1


async def test_ten_turns_take_no_time(phone: Phone):
    async with phone.text(counting_bot) as talk:
        await talk.reply()
        began = time.process_time()
        for turn in range(1, 11):
            assert await talk.say("Hello.") == f"Turn {turn}. One two three four."
        assert time.process_time() - began < 1.0


async def test_bot_hangs_up(phone: Phone):
    async def bot(call: Call) -> None:
        llm = DialogueLLMService(Dialogue())
        await call.run(pipeline_of(call, llm), begin_with=[LLMRunFrame()])

    async with phone.text(bot) as talk:
        assert "welcome" in await talk.reply()
        assert "Goodbye" in await talk.say("Goodbye.")
        assert await talk.ended() is CallEndReason.BOT_HUNG_UP
        with pytest.raises(CallFailedError, match="it is over: bot hung up"):
            await talk.say("Hello?")


async def test_spoken_frames_are_heard(phone: Phone):
    async def bot(call: Call) -> None:
        await call.run(
            phone_worker(pipeline_of(call, Counting())),
            begin_with=[
                TTSSpeakFrame("Please hold the line."),
                TTSSpeakFrame("Goodbye."),
                EndFrame(),
            ],
        )

    async with phone.text(bot) as talk:
        assert await talk.reply() == "Please hold the line. Goodbye."
        assert await talk.ended() is CallEndReason.BOT_HUNG_UP


class Menu(FrameProcessor):
    """Says which key was pressed, and when the mark behind it is reached."""

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, InputDTMFFrame):
            await self.push_frame(TTSSpeakFrame(f"You pressed {frame.button.value}."))
            await self.push_frame(SendMarkFrame(mark="pressed"))
        elif isinstance(frame, MarkReachedFrame):
            await self.push_frame(TTSSpeakFrame(f"Reached {frame.mark}."))
        else:
            await self.push_frame(frame, direction)


async def test_keys_and_marks_reach_the_bot(phone: Phone):
    async def bot(call: Call) -> None:
        transport = call.transport
        await call.run(Pipeline([transport.input(), Menu(), MuteTTS(), transport.output()]))

    async with phone.text(bot) as talk:
        assert await talk.press("5") == "You pressed 5. Reached pressed."


async def test_bot_knows_who_calls(phone: Phone):
    seen = []

    async def bot(call: Call) -> None:
        seen.append((call.from_number, call.parameters["customer"]))
        call.transport.add_event_handler("on_call_started", started)
        call.transport.add_event_handler("on_call_ended", ended)
        await call.run(pipeline_of(call, Counting()), begin_with=[LLMRunFrame()])

    async def started(_, start):
        seen.append(start.call_sid[:2])

    async def ended(_, reason):
        seen.append(reason)

    async with phone.text(bot, parameters={"from": "sip:ann", "customer": "7"}) as talk:
        await talk.reply()
        await talk.hang_up()
    assert seen == [("sip:ann", "7"), "CA", CallEndReason.CALLER_HUNG_UP]


async def test_failure_of_the_bot_is_raised(phone: Phone):
    async def bot(_: Call) -> None:
        raise ZeroDivisionError("of the bot")

    async with phone.text(bot) as talk:
        with pytest.raises(ZeroDivisionError):
            await talk.reply()
        with pytest.raises(CallFailedError, match="the bot returned"):
            await talk.say("Hello?")


async def test_silence_is_no_reply(phone: Phone):
    async def bot(call: Call) -> None:
        await call.run(pipeline_of(call, Counting()))

    async with phone.text(bot, time_limit=1.0) as talk:
        with pytest.raises(CallFailedError, match="got 0 words of it"):
            await talk.reply()
        assert await talk.say("Hello.") == "Turn 1. One two three four."


def clip_bot(*, is_remembered: bool = True, is_interruptible: bool = True):
    """Says a text, a clip that stands for another one, and another text."""
    clip = SpeakClipFrame(Clip(mulaw=bytes(8000), text="The line is busy."), is_remembered)
    clip.interruptible = is_interruptible

    async def bot(call: Call) -> None:
        first, last = TTSSpeakFrame("Good day."), TTSSpeakFrame("One moment.")
        await call.run(pipeline_of(call, Counting()), begin_with=[first, clip, last])

    return bot


async def test_clip_is_read_in_its_turn(phone: Phone):
    async with phone.text(clip_bot()) as talk:
        assert await talk.reply() == "Good day. The line is busy. One moment."
        said = [words for role, words in talk.memory if role == "assistant"]
        assert " ".join(said) == "Good day. The line is busy. One moment."


async def test_clip_that_is_cut_is_remembered_up_to_there(phone: Phone):
    async with phone.text(clip_bot()) as talk:
        assert await talk.reply(cut_after=4) == "Good day. The line"
        assert await talk.say("Hello.") == "Turn 1. One two three four."
        said = [words for role, words in talk.memory if role == "assistant"]
        assert said == ["Good day.", "The line", "Turn 1. One two three four."]


async def test_clip_that_is_not_to_be_remembered_is_not(phone: Phone):
    async with phone.text(clip_bot(is_remembered=False)) as talk:
        assert await talk.reply() == "Good day. The line is busy. One moment."
        said = [words for role, words in talk.memory if role == "assistant"]
        assert " ".join(said) == "Good day. One moment."


async def test_clip_that_nobody_may_cut_is_read_whole(phone: Phone):
    async with phone.text(clip_bot(is_interruptible=False)) as talk:
        assert await talk.reply(cut_after=4) == "Good day. The line"
        await talk.say("Hello.")
        said = [words for role, words in talk.memory if role == "assistant"]
        assert " ".join(said) == "Good day. The line is busy. Turn 1. One two three four."


@pytest.mark.parametrize("greeting", ["Good day.", Clip(mulaw=bytes(8000), text="Good day.")])
async def test_greeting_is_read_first(phone: Phone, greeting: Clip | str):
    async def bot(call: Call) -> None:
        await call.run(pipeline_of(call, Counting()), greeting=greeting)

    async with phone.text(bot) as talk:
        assert await talk.reply() == "Good day."
        assert ("assistant", "Good day.") in talk.memory


async def test_greeting_is_not_recorded(phone: Phone):
    def tts() -> MuteTTS:
        raise AssertionError("expected nothing to be recorded")

    greeting = Greeting("Good day.", tts)

    async def bot(call: Call) -> None:
        await call.run(pipeline_of(call, Counting()), greeting=greeting)

    async with phone.text(bot) as talk:
        assert await talk.reply() == "Good day."

    assert greeting.clip is None


async def test_clip_of_the_transport_is_read(phone: Phone):
    async def bot(call: Call) -> None:
        greeting = asyncio.create_task(call.transport.greet(Clip(mulaw=bytes(8000), text="Hi.")))
        await call.run(pipeline_of(call, Counting()))
        await greeting

    async with phone.text(bot) as talk:
        assert await talk.reply() == "Hi."


class EndIsNear(BaseObserver):
    """Set once the end of the pipeline waits behind words that nobody hears."""

    def __init__(self):
        super().__init__()
        self.happened = asyncio.Event()

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, EndFrame) and isinstance(data.destination, TextEar):
            self.happened.set()


@asynccontextmanager
async def leaving(phone: Phone) -> AsyncIterator[TextConversation]:
    """A conversation whose bot has hung up behind words of which the caller has heard two."""
    end = EndIsNear()

    class Leaving(PythonLLMService):
        async def respond(self, context) -> AsyncIterator[str]:
            yield "Thank you and goodbye."
            await talk.call.hang_up()

    async def bot(call: Call) -> None:
        call.observers.append(end)
        context = PhoneContextAggregator()
        parts = [call.transport.input(), context.user(), Leaving(), MuteTTS()]
        pipeline = Pipeline([*parts, call.transport.output(), context.assistant()])
        await call.run(pipeline, begin_with=[TTSSpeakFrame("Hello.")])

    async with phone.text(bot) as talk:
        await talk.reply()
        assert await talk.say("That is all.", cut_after=2) == "Thank you"
        async with asyncio.timeout(5):
            await end.happened.wait()
        yield talk


async def test_caller_is_not_listened_to_behind_the_end(phone: Phone):
    async with leaving(phone) as talk:
        assert await talk.say("No, wait!") == "and goodbye."
        assert await talk.ended() is CallEndReason.BOT_HUNG_UP
        said = [words for role, words in talk.memory if role == "user"]
        assert said == ["That is all."]
        assert talk.memory[-1] == ("assistant", "Thank you and goodbye.")


async def test_caller_who_hangs_up_on_last_words_has_not_heard_them(phone: Phone):
    async with leaving(phone) as talk:
        await talk.hang_up()
        assert talk.end_reason is CallEndReason.CALLER_HUNG_UP
        assert talk.memory[-1] == ("assistant", "Thank you")


async def test_cut_in_right_behind_the_end_does_not_lose_it(phone: Phone):
    class Leaving(PythonLLMService):
        async def respond(self, context) -> AsyncIterator[str]:
            yield "Thank you and goodbye."
            await talk.call.hang_up()

    async def bot(call: Call) -> None:
        await call.run(pipeline_of(call, Leaving()), begin_with=[TTSSpeakFrame("Hello.")])

    async with phone.text(bot) as talk:
        await talk.reply()
        await talk.say("That is all.", cut_after=2)
        # It may be over before there could be a reply.
        with suppress(CallFailedError):
            await talk.say("No, wait!")
        assert await talk.ended() is CallEndReason.BOT_HUNG_UP
