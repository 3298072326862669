"""Calls that are being placed, and those who guess at the key that places them."""

from twilio_frames.server.dialing.outgoing import Outgoing


def test_rate_and_lines_follow_the_clock():
    now = [0.0]
    outgoing = Outgoing(per_minute=2, clock=lambda: now[0])
    for call_sid in ("CA1", "CA2"):
        outgoing.ask()
        outgoing.placed(call_sid, has_line=False)
    assert (outgoing.wait_secs, len(outgoing)) == (60.0, 2)
    now[0] = 100.0
    outgoing.heard_of("CA1")
    outgoing.heard_of("unknown")
    assert (outgoing.wait_secs, len(outgoing)) == (0.0, 2)
    now[0] = 200.0

    assert len(outgoing) == 1
    assert outgoing.take("CA1", is_outbound=True)
    assert not outgoing.take("CA1", is_outbound=True)
