"""A realtime session without a model and a pipeline: frames and events in, orders out."""

import base64
from typing import Any

from pipecat.frames import frames
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.realtime import events

from twilio_frames.frames import SpeechCutFrame
from twilio_frames.services.realtime.function_results import FunctionResults
from twilio_frames.services.realtime.orders import Do, Push, Send
from twilio_frames.services.realtime.session import RealtimeSession

DOWN = FrameDirection.DOWNSTREAM


def begun(now: float = 0.0) -> RealtimeSession:
    """A session that has been asked for its first answer."""
    session = RealtimeSession(server_decides=False, batch_secs=0.06, words_secs=0.8)
    session.take_frame(frames.LLMContextFrame(LLMContext()), DOWN, now)
    assert taken(session) == []
    configured(session, now)
    assert "response.create" in sent(session)
    return session


def configured(session: RealtimeSession, now: float) -> None:
    event = {"type": "session.updated", "event_id": "event", "session": {}}
    session.take_event(events.SessionUpdatedEvent.model_validate(event), now)


def taken(session: RealtimeSession) -> list[Any]:
    orders = list(session.orders)
    session.orders.clear()
    return orders


def sent(session: RealtimeSession) -> dict[str, Any]:
    return {order.event.type: order.event for order in taken(session) if isinstance(order, Send)}  # pyright: ignore[reportAttributeAccessIssue]


def take(session: RealtimeSession, kind: str, now: float, **fields: Any) -> None:
    event = {"type": kind, "event_id": "event", **fields}
    session.note_event(event, now)
    model = {
        "response.created": events.ResponseCreated,
        "response.output_audio.delta": events.ResponseAudioDelta,
        "response.done": events.ResponseDone,
    }[kind]
    session.take_event(model.model_validate(event), now)


def response(status: str, **details: Any) -> dict[str, Any]:
    return {
        "id": "answer",
        "object": "realtime.response",
        "status": status,
        "status_details": details or None,
        "output": [],
    }


def say(session: RealtimeSession, now: float, seconds: float = 2.0) -> None:
    take(session, "response.created", now, response=response("in_progress"))
    take(
        session,
        "response.output_audio.delta",
        now,
        response_id="answer",
        item_id="item",
        output_index=0,
        content_index=0,
        delta=base64.b64encode(b"\xff" * round(8000 * seconds)).decode(),
    )


def tick(session: RealtimeSession, now: float) -> None:
    session.tick(now, patience_secs=2.0, answer_secs=5.0)


def test_message_is_truncated_where_it_was_heard():
    session = begun()
    say(session, 0.5)
    session.take_frame(frames.BotStartedSpeakingFrame(), DOWN, 0.6)
    session.take_frame(frames.InterruptionFrame(), DOWN, 1.2)
    assert sent(session)["response.cancel"].response_id == "answer"

    session.take_frame(SpeechCutFrame(context_id="item", heard_ms=580), DOWN, 1.3)
    truncation = sent(session)["conversation.item.truncate"]
    assert (truncation.item_id, truncation.audio_end_ms) == ("item", 580)
    tick(session, 9.0)
    assert sent(session) == {}


def test_clock_decides_where_nobody_tells_what_was_heard():
    session = begun()
    say(session, 0.5)
    session.take_frame(frames.BotStartedSpeakingFrame(), DOWN, 0.6)
    session.take_frame(frames.InterruptionFrame(), DOWN, 1.2)
    taken(session)

    tick(session, 2.6)
    assert sent(session) == {}
    tick(session, 2.8)
    assert sent(session)["conversation.item.truncate"].audio_end_ms == 600


def test_answer_that_failed_is_ordered_twice_more_and_apologised_for():
    session = begun()
    now = 0.0
    for pause in (0.5, 1.0):
        take(session, "response.created", now, response=response("in_progress"))
        failure = response("failed", error={"code": "server_error"})
        take(session, "response.done", now, response=failure)
        assert Do.APOLOGIZE not in taken(session)
        tick(session, now + pause - 0.1)
        assert sent(session) == {}
        now += pause
        tick(session, now)
        assert "response.create" in sent(session)
    take(session, "response.done", now, response=response("failed", error={"code": "server_error"}))
    assert taken(session)[-1] is Do.APOLOGIZE


def test_session_that_is_silent_is_broken_off():
    session = begun()
    tick(session, 4.9)
    taken(session)
    tick(session, 5.1)
    assert taken(session) == [Do.BREAK_OFF]


def test_answer_that_broke_off_is_ordered_of_the_next_session():
    session = begun()
    say(session, 0.5)
    session.lost()
    ends = [order.frame for order in taken(session) if isinstance(order, Push)]
    assert [type(frame) for frame in ends[-2:]] == [
        frames.TTSStoppedFrame,
        frames.LLMFullResponseEndFrame,
    ]
    configured(session, 1.0)
    assert "response.create" in sent(session)


def test_answer_that_was_given_up_is_not_ordered_of_the_next_session():
    session = begun()
    session.lost()
    session.give_up()
    taken(session)
    configured(session, 20.0)

    assert "response.create" not in sent(session)


def test_function_that_found_nothing_is_told_as_it_is():
    results = FunctionResults()
    call = events.ConversationItem(type="function_call", call_id="1", name="free_tables")
    results.announced(call)
    results.called("1", "{}")

    item = results.came(frames.FunctionCallResultFrame("free_tables", "1", {}, result=[]))

    assert (item.type, item.output) == ("function_call_output", "[]")
