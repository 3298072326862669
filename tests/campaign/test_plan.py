"""Which number is due when, whatever comes of the calls and whenever the process dies."""

from dataclasses import replace
from datetime import datetime, time
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twilio_frames.campaign import CallingHours, CampaignPolicy, Contact, Outcome, Retry
from twilio_frames.campaign.hours import zones_of
from twilio_frames.campaign.plan import Attempt, Finished, Place, Plan, Wait
from twilio_frames.errors import ConfigurationError

NEW_YORK = "+12125550100"
LONDON = "+447911123456"
SYDNEY = "+61298765432"
NOWHERE = "+12425550100"
"""A number of the Bahamas, for which libphonenumber knows no time zone."""
NUMBERS = [NEW_YORK, LONDON, SYDNEY, "+13105550100", "+4915112345678", "+81312345678"]
ALWAYS = CallingHours(begin=time(0), end=time(23, 59, 59), days=tuple(range(7)), zone="UTC")
CALLED = (
    Outcome.ANSWERED,
    Outcome.BUSY,
    Outcome.NO_ANSWER,
    Outcome.FAILED,
    Outcome.MACHINE,
    Outcome.REFUSED,
)


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


class Caller:
    """Does what a plan says, and keeps what a process would keep."""

    def __init__(self, plan: Plan, policy: CampaignPolicy, now: float):
        self.plan, self.policy, self.now = plan, policy, now
        self.kept: dict[int, Attempt] = {}
        self.placed: list[tuple[float, str]] = []
        self.most_open = 0
        self._key = 0

    def place(self, contact: Contact) -> None:
        self._key += 1
        attempt = Attempt(key=self._key, number=contact.number, asked_at=self.now)
        self.kept[attempt.key] = attempt
        self.plan.asked(attempt)
        self.placed.append((self.now, contact.number))
        self.most_open = max(self.most_open, len(self.plan.open_attempts))

    def end(self, attempt: Attempt, outcome: Outcome) -> None:
        sid = f"CA{attempt.key}"
        ended = replace(attempt, outcome=outcome, ended_at=self.now, call_sid=sid)
        self.kept[attempt.key] = ended
        self.plan.ended(ended)

    def die(self, contacts: list[Contact]) -> None:
        """What a new process makes of what was kept."""
        self.plan = Plan(contacts, self.policy, attempts=self.kept.values())


@st.composite
def policies(draw: st.DrawFn) -> CampaignPolicy:
    retries = {
        outcome: Retry(times=draw(st.integers(0, 3)), after_secs=draw(st.integers(0, 40_000)))
        for outcome in CALLED
        if outcome is not Outcome.ANSWERED and draw(st.booleans())
    }
    begin = draw(st.integers(0, 22))
    return CampaignPolicy(
        calls_per_second=draw(st.sampled_from([0.01, 1, 7])),
        at_once=draw(st.integers(1, 4)),
        hours=CallingHours(
            begin=time(begin),
            end=time(draw(st.integers(begin + 1, 23))),
            days=tuple(draw(st.sets(st.integers(0, 6), min_size=1))),
        ),
        retries=retries,
        most_attempts=draw(st.integers(1, 4)),
    )


def is_calling_hour(policy: CampaignPolicy, number: str, now: float) -> bool:
    """By another way than the plan's own."""
    for zone in zones_of(number):
        there = datetime.fromtimestamp(now, ZoneInfo(zone))
        hours = policy.hours
        if there.weekday() not in hours.days or not hours.begin <= there.time() < hours.end:
            return False
    return True


def outcomes_allow_another(policy: CampaignPolicy, before: list[Outcome]) -> bool:
    if not before:
        return True
    retry = policy.retries.get(before[-1])
    return (
        retry is not None
        and len(before) < policy.most_attempts
        and before.count(before[-1]) <= retry.times
    )


@settings(max_examples=60, deadline=None)
@given(policy=policies(), data=st.data())
def test_plan_keeps_to_the_policy(policy: CampaignPolicy, data: st.DataObject):
    numbers = data.draw(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=6, unique=True))
    contacts = [Contact(number=number) for number in numbers]
    caller = Caller(Plan(contacts, policy), policy, at("2026-11-27T03:00"))
    before: dict[str, list[Outcome]] = {number: [] for number in numbers}
    ended_at: dict[str, float] = {}
    for _ in range(200):
        if data.draw(st.integers(0, 9)) == 0:
            caller.die(contacts)
        step = caller.plan.next(caller.now)
        if isinstance(step, Finished):
            break
        if isinstance(step, Place):
            number = step.contact.number
            assert number not in {each.number for each in caller.plan.open_attempts}
            assert is_calling_hour(policy, number, caller.now)
            assert outcomes_allow_another(policy, before[number])
            if before[number]:
                wait = policy.retries[before[number][-1]].after_secs
                assert caller.now >= ended_at[number] + wait
            caller.place(step.contact)
        elif caller.plan.open_attempts and (step.until is None or data.draw(st.booleans())):
            caller.now += data.draw(st.sampled_from([0, 1, 90]))
            attempt = data.draw(st.sampled_from(list(caller.plan.open_attempts)))
            outcome = data.draw(st.sampled_from(CALLED))
            before[attempt.number].append(outcome)
            ended_at[attempt.number] = caller.now
            caller.end(attempt, outcome)
        else:
            assert step.until is not None, "waits for nothing"
            assert step.until > caller.now
            caller.now = step.until
    else:
        pytest.fail("expected an end, got a plan that goes on")
    for number in numbers:
        assert not outcomes_allow_another(policy, before[number]) or (
            policy.hours.next_open(zones_of(number), caller.now) is None
        )
        assert caller.plan.final(number) in (*before[number][-1:], Outcome.NO_HOURS)
    assert caller.most_open <= policy.at_once
    times = [placed for placed, _ in caller.placed]
    interval = 1 / policy.calls_per_second
    assert all(later - earlier >= interval - 1e-6 for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    ("number", "now", "opened"),
    [
        (NEW_YORK, at("2026-11-30T08:59", "America/New_York"), "2026-11-30T09:00"),
        (NEW_YORK, at("2026-11-30T10:17", "America/New_York"), "2026-11-30T10:17"),
        (NEW_YORK, at("2026-11-30T20:00", "America/New_York"), "2026-12-01T09:00"),
        # Saturday evening: no calls on Sunday.
        (NEW_YORK, at("2026-11-28T21:00", "America/New_York"), "2026-11-30T09:00"),
        (SYDNEY, at("2026-11-30T08:00", "Australia/Sydney"), "2026-11-30T09:00"),
        # The clock goes forward at night: nine o'clock comes an hour sooner.
        (NEW_YORK, at("2026-03-07T21:00", "America/New_York"), "2026-03-09T09:00"),
        (LONDON, at("2026-10-24T23:00", "Europe/London"), "2026-10-26T09:00"),
    ],
)
def test_number_is_called_at_its_own_hours(number: str, now: float, opened: str):
    (zone,) = zones_of(number)[-1:]

    assert CallingHours().next_open(zones_of(number), now) == at(opened, zone)


def test_mobile_of_several_zones_is_called_at_an_hour_of_all():
    zones = zones_of("+61412345678")
    opened = CallingHours().next_open(zones, at("2026-11-30T00:00", "Australia/Sydney"))

    assert len(zones) > 3
    assert opened is not None
    for zone in zones:
        assert 9 <= datetime.fromtimestamp(opened, ZoneInfo(zone)).hour < 20


def test_number_of_no_known_zone_is_not_called_unless_one_is_named():
    now = at("2026-11-30T12:00")
    plan = Plan([Contact(number=NOWHERE)], CampaignPolicy())

    assert isinstance(plan.next(now), Finished)
    assert plan.final(NOWHERE) is Outcome.NO_HOURS
    for hours, zone in ((CallingHours(zone="UTC"), None), (CallingHours(), "UTC")):
        plan = Plan([Contact(number=NOWHERE, zone=zone)], CampaignPolicy(hours=hours))
        assert isinstance(plan.next(now), Place)


def test_toll_free_number_of_half_the_globe_has_no_hours():
    zones = zones_of("+18005550100")
    assert CallingHours(end=time(18)).next_open(zones, at("2026-11-30T12:00")) is None


def test_barred_number_is_not_called():
    plan = Plan(
        [Contact(number=NEW_YORK), Contact(number=LONDON)],
        CampaignPolicy(hours=ALWAYS),
        barred={NEW_YORK: Outcome.DO_NOT_CALL},
    )
    plan.bar(LONDON, Outcome.DO_NOT_CALL)

    assert isinstance(plan.next(0.0), Finished)
    assert plan.final(NEW_YORK) is plan.final(LONDON) is Outcome.DO_NOT_CALL


def test_barred_in_the_middle_of_its_call_is_not_called_again():
    policy = CampaignPolicy(hours=ALWAYS)
    caller = Caller(Plan([Contact(number=NEW_YORK)], policy), policy, 1e9)
    caller.place(Contact(number=NEW_YORK))
    caller.plan.bar(NEW_YORK, Outcome.DO_NOT_CALL)
    caller.end(caller.plan.open_attempts[0], Outcome.BUSY)

    assert isinstance(caller.plan.next(2e9), Finished)
    assert caller.plan.final(NEW_YORK) is Outcome.DO_NOT_CALL


def test_repeated_number_is_one_contact():
    plan = Plan([Contact(number=LONDON), Contact(number=LONDON)], CampaignPolicy())

    assert len(plan.contacts) == 1


def test_crowded_account_gets_fewer_calls_and_then_more():
    policy = CampaignPolicy(hours=ALWAYS, at_once=4, calls_per_second=100)
    caller = Caller(Plan([Contact(number=n) for n in NUMBERS], policy), policy, 1e9)
    for number in NUMBERS[:3]:
        caller.now += 1
        caller.place(Contact(number=number))
    caller.plan.not_made(caller.plan.open_attempts[2], caller.now, is_crowded=True)

    assert caller.plan.next(caller.now + 10) == Wait(until=None)
    step = caller.plan.next(caller.now + 61)
    assert isinstance(step, Place)
    assert step.contact.number == NUMBERS[2]


def test_what_was_not_made_is_tried_ever_later():
    policy = CampaignPolicy(hours=ALWAYS, calls_per_second=100)
    caller = Caller(Plan([Contact(number=LONDON)], policy), policy, 1e9)
    waits: list[float] = []
    for _ in range(8):
        caller.place(Contact(number=LONDON))
        caller.plan.not_made(caller.plan.open_attempts[0], caller.now)
        step = caller.plan.next(caller.now)
        assert isinstance(step, Wait)
        assert step.until is not None
        waits.append(step.until - caller.now)
        caller.now = step.until

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert caller.plan.attempts(LONDON) == []


def test_open_call_of_somebody_who_is_no_contact_any_more_holds_its_line():
    policy = CampaignPolicy(hours=ALWAYS, at_once=1)
    left = Attempt(key=1, number=LONDON, asked_at=1e9, call_sid="CA1")
    plan = Plan([Contact(number=NEW_YORK)], policy, attempts=[left])

    assert plan.next(1e9 + 60) == Wait(until=None)
    plan.ended(replace(left, outcome=Outcome.BUSY, ended_at=1e9 + 60))
    assert isinstance(plan.next(1e9 + 61), Place)


def test_progress_says_when_the_next_is_due():
    night = at("2026-11-30T22:00", "America/New_York")
    plan = Plan([Contact(number=NEW_YORK)], CampaignPolicy())
    assert plan.progress(night).next_at is None
    plan.next(night)

    assert plan.progress(night).next_at == at("2026-12-01T09:00", "America/New_York")


def test_progress_counts_and_estimates():
    policy = CampaignPolicy(hours=ALWAYS, at_once=2, calls_per_second=1)
    caller = Caller(Plan([Contact(number=n) for n in NUMBERS], policy), policy, 1e9)
    assert caller.plan.progress(caller.now).seconds_left is None
    caller.place(Contact(number=NUMBERS[0]))
    caller.now += 20
    caller.end(caller.plan.open_attempts[0], Outcome.ANSWERED)
    caller.place(Contact(number=NUMBERS[1]))
    progress = caller.plan.progress(caller.now)

    assert (progress.contacts, progress.up, progress.waiting, progress.calls) == (6, 1, 4, 2)
    assert progress.outcomes == {Outcome.ANSWERED: 1}
    # Four contacts, two calls each so far for one that is done, 20 s each, two at a time.
    assert progress.seconds_left == pytest.approx(4 * 2 * 20 / 2 + 20)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: CallingHours(begin=time(20), end=time(9)), "end behind their beginning"),
        (lambda: CallingHours(days=()), "days of the week"),
        (lambda: CallingHours(days=(7,)), "days of the week"),
        (lambda: CallingHours(zone="Mars/Olympus"), "a time zone such as"),
        (lambda: CampaignPolicy(calls_per_second=0), "calls_per_second"),
        (lambda: CampaignPolicy(at_once=0), "at_once"),
        (lambda: CampaignPolicy(on_machine="shout"), "talk or hang-up"),
        (lambda: Retry(times=-1, after_secs=0), "times of at least 0"),
    ],
)
def test_policy_that_cannot_work_is_refused(make, reason: str):
    with pytest.raises(ConfigurationError, match=reason):
        make()
