"""A campaign's calls, each made as often as the policy says, whatever fails and whoever dies."""

import asyncio
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from tests.campaign.exchange import (
    POLICY,
    Disk,
    Exchange,
    Line,
    MortalState,
    Process,
    campaign_on,
    failed,
    timed_out,
)
from tests.vendors.faults import bad_day
from twilio_frames.campaign import CallingHours, Campaign, Contact, Outcome, Retry
from twilio_frames.campaign.plan import Progress
from twilio_frames.campaign.state import CampaignState
from twilio_frames.errors import ConfigurationError, RestError

A, B, C, D, E = (f"+1212555010{digit}" for digit in range(5))
OUTCOMES = {
    A: ["completed"],
    B: ["busy", "busy", "completed"],
    C: ["no-answer"],
    D: ["completed"],
    E: ["busy"],
}
CALLS = {A: 1, B: 3, C: 2, D: 1, E: 3}
FINAL = {
    A: Outcome.ANSWERED,
    B: Outcome.ANSWERED,
    C: Outcome.NO_ANSWER,
    D: Outcome.ANSWERED,
    E: Outcome.BUSY,
}


@pytest.fixture(autouse=True)
def mortal(monkeypatch):
    monkeypatch.setattr("twilio_frames.campaign.run.CampaignState", MortalState)
    monkeypatch.setattr("twilio_frames.campaign.run.ThreadPoolExecutor", Disk)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.campaign"


def difficult_exchange() -> Exchange:
    """One at which requests are answered, refused for now, lost on the way and on the way back."""
    return Exchange(
        outcomes=dict(OUTCOMES),
        faults={
            A: [failed(500, is_made=True)],
            B: [timed_out(is_made=False), failed(429, 20429)],
            D: [timed_out(is_made=True)],
            E: [failed(503), failed(502, is_made=True), timed_out(is_made=True)],
        },
    )


def assert_called_by_the_policy(exchange: Exchange, campaign: Campaign) -> None:
    assert Counter(call.number for call in exchange.calls) == CALLS
    assert {number: campaign.plan.final(number) for number in FINAL} == FINAL


@bad_day(
    "server",
    "requests of a campaign's for calls time out, or are answered with 5xx or 429",
    "Nothing: no second call of one that was made.",
)
async def test_every_number_is_called_as_the_policy_says(path: Path):
    exchange = difficult_exchange()
    campaign, is_done = await campaign_on(exchange, list(CALLS), path)

    assert is_done
    assert_called_by_the_policy(exchange, campaign)


async def test_campaign_that_is_done_calls_nobody(path: Path):
    exchange = difficult_exchange()
    await campaign_on(exchange, list(CALLS), path)
    campaign, is_done = await campaign_on(exchange, list(CALLS), path)

    assert is_done
    assert_called_by_the_policy(exchange, campaign)


@bad_day(
    "server",
    "a campaign's process is killed at any moment",
    "No call too many and none too few; whoever was talking with the bot loses it.",
)
async def test_killed_at_any_moment_nothing_is_lost_or_repeated(tmp_path: Path):
    numbers = [A, B, E]
    exchange = difficult_exchange()
    await campaign_on(exchange, numbers, tmp_path / "calls")
    deeds = MortalState.process.deeds
    assert deeds > 30
    for lives in range(deeds):
        exchange, path = difficult_exchange(), tmp_path / f"calls.{lives}"
        _, is_done = await campaign_on(exchange, numbers, path, lives=lives)
        assert not is_done
        campaign, is_done = await campaign_on(exchange, numbers, path)
        assert is_done
        assert {number: exchange.calls_of(number) for number in numbers} == {A: 1, B: 3, E: 3}
        assert [campaign.plan.final(number) for number in numbers] == [FINAL[n] for n in numbers]


@pytest.mark.parametrize("lives", [1, 2, 3, 5, 7])
async def test_killed_again_and_again_nothing_is_lost_or_repeated(path: Path, lives: int):
    exchange = difficult_exchange()
    while True:
        campaign, is_done = await campaign_on(exchange, list(CALLS), path, lives=lives)
        if is_done:
            break
        # Each life ends later than the one before: one that dies at once gets nowhere.
        lives += 1
    assert_called_by_the_policy(exchange, campaign)


async def test_call_that_nobody_named_is_found_and_followed(path: Path):
    exchange = Exchange(faults={A: [timed_out(is_made=True)]}, call_secs=100)
    campaign, _ = await campaign_on(exchange, [A], path)

    (attempt,) = campaign.plan.attempts(A)
    assert attempt.call_sid == exchange.calls[0].call_sid
    assert attempt.outcome is Outcome.ANSWERED


async def test_older_call_to_the_number_is_not_taken_for_ours(path: Path):
    exchange = Exchange(outcomes={A: ["completed"]})
    exchange.request(A)
    await asyncio.sleep(60)
    exchange.faults[A] = [timed_out(is_made=False)]
    campaign, _ = await campaign_on(exchange, [A], path)

    assert exchange.calls_of(A) == 2
    assert campaign.plan.attempts(A)[0].call_sid == "CA1"


async def test_call_of_a_moment_ago_is_not_taken_for_the_next(path: Path):
    exchange = Exchange(outcomes={A: ["busy", "completed"]}, call_secs=0.0)
    policy = replace(POLICY, retries={Outcome.BUSY: Retry(times=2, after_secs=0)})
    running = asyncio.create_task(campaign_on(exchange, [A], path, policy=policy))
    await asyncio.sleep(0.3)
    exchange.faults[A] = [timed_out(is_made=False)]
    campaign, _ = await running

    assert [attempt.call_sid for attempt in campaign.plan.attempts(A)] == ["CA0", "CA1"]
    assert exchange.calls_of(A) == 2


def test_contact_that_does_not_fit_is_told_before_anybody_is_called(path: Path):
    contact = Contact(number=A, parameters={str(place): "x" for place in range(21)})
    with pytest.raises(ConfigurationError, match="at most 20 parameters"):
        Campaign([contact], Line(Exchange(), Process()), POLICY, state=path)

    assert not path.exists()


async def test_state_that_cannot_be_written_calls_nobody(path: Path, monkeypatch):
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(MortalState, "ask", full)
    exchange = Exchange()
    with pytest.raises(ConfigurationError, match="disk is full"):
        await campaign_on(exchange, [A], path)

    assert exchange.calls == []


async def test_number_is_not_called_again_before_a_late_call_could_come(path: Path):
    exchange = Exchange(faults={A: [timed_out(is_made=False)]})
    began = exchange.now()
    await campaign_on(exchange, [A], path)

    (call,) = exchange.calls
    assert call.created_at >= began + POLICY.settle_secs - 1


async def test_refused_number_is_not_called_again(path: Path):
    exchange = Exchange(faults={A: [failed(400, 21215)]})
    campaign, is_done = await campaign_on(exchange, [A, B], path)

    assert is_done
    assert campaign.plan.final(A) is Outcome.REFUSED
    assert campaign.plan.attempts(A)[0].code == 21215
    assert exchange.calls_of(B) == 1


@pytest.mark.parametrize("fault", [(401, 20003), (400, 21210), (400, 21205)])
async def test_refusal_of_every_number_ends_the_campaign(path: Path, fault: tuple[int, int]):
    exchange = Exchange(faults={A: [failed(*fault)]}, call_secs=1)
    with pytest.raises(RestError):
        await campaign_on(exchange, [A, B], path)
    campaign, is_done = await campaign_on(exchange, [A, B], path)

    assert is_done
    assert campaign.plan.final(A) is Outcome.ANSWERED
    assert exchange.calls_of(A) == 1


@bad_day("server", "the account has as many calls as it may (10004)", "Nothing: the next waits.")
async def test_crowded_account_is_waited_for(path: Path):
    exchange = Exchange(most_at_once=1, call_secs=20)
    _, is_done = await campaign_on(exchange, [A, B, C], path)

    assert is_done
    assert Counter(call.number for call in exchange.calls) == {A: 1, B: 1, C: 1}


@bad_day(
    "server", "the network is down for ten minutes of a campaign", "Nothing: it goes on behind."
)
async def test_campaign_outlives_a_network_that_is_down(path: Path):
    exchange = Exchange(outcomes={A: ["busy", "completed"]})
    running = asyncio.create_task(campaign_on(exchange, [A], path))
    await asyncio.sleep(3)
    exchange.is_down = True
    await asyncio.sleep(600)
    exchange.is_down = False
    _, is_done = await running

    assert is_done
    assert exchange.calls_of(A) == 2


async def test_call_that_twilio_does_not_know_has_failed(path: Path):
    state = CampaignState(path)
    state.name(state.ask(A, 1.0), "CA404")
    state.close()
    exchange = Exchange()
    campaign, _ = await campaign_on(exchange, [A], path)

    assert campaign.plan.final(A) is Outcome.FAILED


@pytest.mark.parametrize(
    ("on_machine", "hung_up", "seconds"), [("talk", [], 60), ("hang-up", ["CA0"], 5)]
)
async def test_machine_is_hung_up_on_if_so_wished(
    path: Path, on_machine: str, hung_up: list[str], seconds: float
):
    exchange = Exchange(outcomes={A: ["completed machine_start"]}, call_secs=60)
    began, line = exchange.now(), Line(exchange, Process())
    policy = replace(POLICY, on_machine=on_machine)
    campaign = Campaign([Contact(number=A)], line, policy, state=path)
    await campaign.run()
    campaign.close()

    assert campaign.plan.final(A) is Outcome.MACHINE
    assert line.hung_up == hung_up
    assert exchange.now() - began == pytest.approx(seconds, abs=2)


@bad_day(
    "server",
    "a call waits in Twilio's queue until the calling hours end",
    "Nothing: it is called off, and made the next day.",
)
async def test_call_that_waits_into_the_night_is_called_off(path: Path):
    exchange = Exchange(queue_secs=3600)
    line = Line(exchange, Process())
    minute = datetime.fromtimestamp(exchange.now() + 120, UTC)
    hours = CallingHours(end=minute.time(), days=tuple(range(7)), begin=time(0), zone="UTC")
    contact = Contact(number=A, zone="UTC")
    policy = replace(POLICY, hours=hours)
    campaign = Campaign([contact], line, policy, state=path)
    running = asyncio.create_task(campaign.run())
    await asyncio.sleep(600)
    assert line.hung_up == ["CA0"]
    exchange.queue_secs = 0
    assert await running
    campaign.close()

    # The next day, and the call that never rang counts for nothing.
    assert [attempt.call_sid for attempt in campaign.plan.attempts(A)] == ["CA1"]
    called = datetime.fromtimestamp(exchange.calls[1].created_at, UTC)
    assert called.date() > minute.date()


async def test_stopped_campaign_lets_its_calls_end(path: Path):
    exchange = Exchange(call_secs=30)
    contacts = [Contact(number=number) for number in (A, B, C, D)]
    campaign = Campaign(contacts, Line(exchange, Process()), POLICY, state=path)
    running = asyncio.create_task(campaign.run())
    await asyncio.sleep(1.2)
    campaign.stop()
    assert not await running
    campaign.close()

    assert len(exchange.calls) == 3
    assert [campaign.plan.final(number) for number in (A, B, C, D)] == [
        *[Outcome.ANSWERED] * 3,
        None,
    ]


async def test_who_asks_not_to_be_called_is_not(path: Path):
    exchange = Exchange(outcomes={A: ["busy"]})
    campaign = Campaign([Contact(number=A)], Line(exchange, Process()), POLICY, state=path)
    running = asyncio.create_task(campaign.run())
    await asyncio.sleep(10)
    await campaign.do_not_call(A)
    assert await running
    campaign.close()
    again, _ = await campaign_on(exchange, [A], path)

    assert exchange.calls_of(A) == 1
    assert again.plan.final(A) is Outcome.DO_NOT_CALL


async def test_progress_is_told(path: Path):
    told: list[Progress] = []
    await campaign_on(Exchange(), [A, B], path, tell=told.append)

    assert (told[0].waiting, told[-1].waiting) == (2, 0)
    assert told[-1].outcomes == {Outcome.ANSWERED: 2}
    assert told[-1].seconds_left == 0


def test_state_is_for_its_owner_alone(path: Path):
    CampaignState(path).close()

    assert path.stat().st_mode & 0o777 == 0o600


def test_state_is_one_process_alone(path: Path):
    state = CampaignState(path)
    with pytest.raises(ConfigurationError, match="another process holds"):
        CampaignState(path)
    state.close()
    CampaignState(path).close()


def test_number_has_one_open_attempt_in_the_state(path: Path):
    state = CampaignState(path)
    state.ask(A, 1.0)
    with pytest.raises(sqlite3.IntegrityError):
        state.ask(A, 2.0)
    state.close()


def test_other_files_are_no_state(tmp_path: Path):
    (tmp_path / "calls.csv").write_text("number\n" * 1000)
    with pytest.raises(ConfigurationError, match="name another file"):
        CampaignState(tmp_path / "calls.csv")
    with pytest.raises(ConfigurationError, match="name another file"):
        CampaignState(tmp_path / "nowhere" / "calls.campaign")
