from pipecat.frames.frames import EndWorkerFrame, LLMContextFrame, LLMTextFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.tests.utils import run_test

from twilio_frames.examples.coffee_shop.dialogue import Dialogue
from twilio_frames.local.llm import DialogueLLMService


def contexts(*said: str) -> list[LLMContextFrame]:
    """One growing conversation, a frame for each turn, from before the caller's first words."""
    frames = [LLMContextFrame(LLMContext())]
    for words in said:
        messages = frames[-1].context.get_messages()
        frames.append(LLMContextFrame(LLMContext([*messages, {"role": "user", "content": words}])))
    return frames


async def test_order_is_taken_by_llm_service():
    dialogue = Dialogue()
    service = DialogueLLMService(dialogue, goodbye_limit=0)

    down, _ = await run_test(
        service,
        frames_to_send=contexts("a latte", "large", "no", "actually make that a mocha", "yes"),
        send_end_frame=False,
    )

    assert [frame.text for frame in down if isinstance(frame, LLMTextFrame)] == [
        "Hello, and welcome to the coffee shop. What can I get you?",
        "Okay, a latte. What size would you like: small, medium, or large?",
        "Okay, a large latte. Any special milk, or sugar?",
        "Okay. So that's a large latte with a double shot, whole milk, and no sugar. "
        "Is that right?",
        "Okay, I changed that. So that's a large mocha with a double shot, whole milk, and no "
        "sugar. Is that right?",
        "Thank you. Your large mocha will be ready in ten minutes. Goodbye!",
    ]
    assert any(isinstance(frame, EndWorkerFrame) for frame in down)
    assert dialogue.confirmed
