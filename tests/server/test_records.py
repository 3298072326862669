from types import SimpleNamespace
from typing import cast

from twilio_frames.call import Call
from twilio_frames.frames import CallEndReason
from twilio_frames.server.calls.records import CallRecords, StreamPhase


def test_records_are_bounded():
    records = CallRecords(capacity=2)
    records.open("CA1").phase = StreamPhase.UP
    records.open("CA2")
    records.open("CA3")

    assert len(records) == 2
    assert records.get("CA1") is not None
    assert records.get("CA2") is None


def test_live_records_are_bounded_too():
    records = CallRecords(capacity=2)
    for sid in ("CA1", "CA2", "CA3"):
        records.open(sid).phase = StreamPhase.UP

    assert len(records) == 2


def test_stream_events_are_bounded():
    record = CallRecords().open("CA1")
    for number in range(100):
        record.note_stream_event(f"event-{number}")

    assert len(record.stream_events) == 16


def test_repeated_status_is_nothing_new():
    record = CallRecords().open("CA1")

    assert record.follow("ringing", 1)
    assert not record.follow("ringing", 1)
    assert not record.follow("initiated", 0)
    assert record.follow("completed", 3)
    assert record.is_over


def fake_call() -> Call:
    return cast("Call", SimpleNamespace(end_reason=None))


def test_late_end_spares_next_stream():
    record = CallRecords().open("CA1")
    first, second = fake_call(), fake_call()
    record.begin_stream(first)
    record.begin_stream(second)
    record.end_stream(first, CallEndReason.ERROR)

    assert record.phase is StreamPhase.UP
    record.end_stream(second, CallEndReason.BOT_HUNG_UP)
    assert record.ended_well
