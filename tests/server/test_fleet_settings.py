"""What of a fleet is set, and what the register's key seals."""

from pathlib import Path

import pytest

from twilio_frames.errors import ConfigurationError
from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.fleet.register import Claim, StreamKind, Ticket
from twilio_frames.server import FleetSettings, ServerSettings
from twilio_frames.server.fleet.membership import Membership


@pytest.mark.parametrize(
    "wrong",
    [
        {"register": "mysql://host"},
        {"near_register": "redis://host"},
        {"register_key": "short"},
        {"worker": "a/b"},
        {"when_full": "music"},
        {"without_register": "wait"},
        {"lease_secs": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]):
    with pytest.raises(ConfigurationError, match="expected"):
        FleetSettings(**wrong)  # type: ignore[arg-type]


def test_a_key_that_is_too_short_is_refused_by_its_variable():
    with pytest.raises(ConfigurationError, match="TWILIO_FRAMES_REGISTER_KEY") as raised:
        ServerSettings.from_environment({"TWILIO_FRAMES_REGISTER_KEY": "hello"})
    assert "16 characters or more" in str(raised.value)
    assert "hello" not in str(raised.value)


def test_a_fleet_is_named_by_the_environment():
    environment = {
        "TWILIO_FRAMES_REGISTER": "redis://host:6379/0",
        "TWILIO_FRAMES_WORKER": "w1",
        "TWILIO_FRAMES_MOST_LAG_SECONDS": "0.2",
    }
    fleet = ServerSettings.from_environment(environment).fleet
    assert fleet == FleetSettings(register="redis://host:6379/0", worker="w1", most_lag_secs=0.2)
    assert fleet.does_resume
    assert "redis://" not in repr(fleet)
    assert not FleetSettings().does_resume


async def test_what_the_register_holds_of_a_call_is_sealed_by_a_key(tmp_path: Path):
    path = tmp_path / "register.db"
    settings = FleetSettings(register=f"sqlite://{path}", register_key="a secret of some length")
    member = Membership(settings, token_secs=60.0)
    token = await member.issue("CA1", StreamKind.NEW, "http://x", room=1)
    assert token is not None
    await member.redeem(token, "CA1")
    for place in member.places("CA1"):
        assert await place.save(b"what was said", b"", 1)
    await member.note("CA1", "key", b"who calls")
    other = Membership(settings, token_secs=60.0)
    token = await other.issue("CA1", StreamKind.RESUME, "http://x", room=1)
    assert token is not None
    claim = await other.redeem(token, "CA1")
    assert claim is not None
    assert (claim.snapshot, claim.notes) == (b"what was said", (b"who calls",))
    await member.leave()
    await other.leave()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())  # noqa: ASYNC240
    assert b"what was said" not in kept
    assert b"who calls" not in kept


async def test_no_call_goes_on_with_what_was_said_on_another():
    register = MemoryRegister()
    settings = FleetSettings(register=register, register_key="a secret of some length")
    members = [Membership(settings, token_secs=60.0) for _ in range(2)]

    async def taken(member: Membership, call_sid: str, kind: StreamKind) -> Claim:
        token = await member.issue(call_sid, kind, "http://x", room=None)
        claim = await member.redeem(token or "", call_sid)
        assert claim is not None
        return claim

    _, thief = [await taken(members[0], sid, StreamKind.NEW) for sid in ("CA1", "CA2")]
    for place in members[0].places("CA1"):
        assert await place.save(b"a card's number", b"how far", 1)
    sealed = await stolen(register, "CA1")
    # Whoever can write to the register puts it where their own call's was.
    assert await register.save("CA2", thief.fence, sealed.snapshot, sealed.progress, 1)
    resumed = await taken(members[1], "CA2", StreamKind.RESUME)
    assert (resumed.snapshot, resumed.progress) == (None, b"")


async def stolen(register: MemoryRegister, call_sid: str) -> Claim:
    """What a register holds of a call, as whoever reads it finds it."""
    await register.issue(Ticket(call_sid=call_sid, token="t", worker="w"), 60.0)
    claim = await register.redeem("t", call_sid, "w")
    assert claim is not None
    assert claim.snapshot
    assert b"card" not in claim.snapshot
    return claim
