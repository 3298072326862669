"""Calls that are being placed, and those who guess at the key that places them."""

import pytest
from aiohttp.test_utils import make_mocked_request

from twilio_frames.server.dialing.outgoing import Outgoing, WrongKeys, source_of


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


def test_wrong_keys_wait_longer_and_longer():
    now = [0.0]
    keys = WrongKeys(clock=lambda: now[0])
    waits: list[float] = []
    for _ in range(14):
        keys.note_wrong("a")
        waits.append(keys.wait_secs("a"))
        now[0] += waits[-1]

    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert keys.wait_secs("b") == 0
    keys.note_right("a")
    keys.note_wrong("a")
    assert keys.wait_secs("a") == 0


def test_guessers_are_remembered_up_to_a_bound():
    keys = WrongKeys()
    for number in range(5000):
        for _ in range(5):
            keys.note_wrong(str(number))

    assert keys.wait_secs("0") == 0
    assert keys.wait_secs("4999") > 0


@pytest.mark.parametrize(
    ("remote", "trusted", "source"),
    [
        ("192.0.2.1", False, "192.0.2.1"),
        ("2001:db8::1", False, "2001:db8::/64"),
        ("::ffff:192.0.2.1", False, "192.0.2.1"),
        ("127.0.0.1", True, "203.0.113.9"),
    ],
)
def test_guesser_is_known_by_the_address(remote: str, trusted: bool, source: str):
    headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
    request = make_mocked_request("POST", "/call", headers=headers).clone(remote=remote)

    assert source_of(request, trust_proxies=trusted) == source
