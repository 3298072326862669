"""Who may call, how often, and what the others hear."""

import pytest
from pipecat.pipeline.pipeline import Pipeline

from tests.call.keyed_bots import clip
from twilio_frames.call import Call
from twilio_frames.errors import ConfigurationError
from twilio_frames.server import CallerRules, ServerSettings, create_app
from twilio_frames.server.calls.callers import CallerGate
from twilio_frames.testing import CallEnd, Numbers, Phone

ANNA, BERT = "+12125550101", "+12125550102"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def gate(clock: Clock | None = None, *, up: set[str] | None = None, **rules: object) -> CallerGate:
    are_up = up if up is not None else set[str]()
    return CallerGate(
        CallerRules(**rules),  # pyright: ignore[reportArgumentType] - as a test has them
        lambda sid, _: sid in are_up,
        clock or Clock(),
    )


@pytest.mark.parametrize(
    ("entry", "number"),
    [
        (ANNA, ANNA),
        ("+1 (212) 555-0101", ANNA),
        ("+1212*", ANNA),
        ("anonymous", "+266696687"),
        ("Restricted", "+7378742883"),
        ("+266696687", "anonymous"),
        ("sip:anna@example.com", "sip:Anna@example.com:5060;transport=tls"),
        ("client:anna", "client:anna"),
    ],
)
def test_blocked_and_allowed_callers_are_recognised(entry: str, number: str):
    assert gate(blocked=(entry,)).refuses("CA1", number) == "a caller who is blocked"
    assert gate(allowed=(entry,)).refuses("CA1", number) is None


@pytest.mark.parametrize("number", [BERT, "sip:bert@example.com", "anonymous", "", "nonsense"])
def test_others_are_not(number: str):
    entries = (ANNA, "+1900*", "sip:anna@example.com", "client:bert")

    assert gate(blocked=entries).refuses("CA1", number) is None
    assert gate(allowed=entries).refuses("CA1", number) is not None


def test_blocked_caller_is_so_where_all_others_are_allowed():
    lists = gate(allowed=("+1*",), blocked=(ANNA,))

    assert lists.refuses("CA1", ANNA) is not None
    assert lists.refuses("CA2", BERT) is None


def test_caller_may_have_so_many_calls_at_once():
    up: set[str] = set()
    limits = gate(up=up, at_once=1)

    assert limits.refuses("CA1", ANNA) is None
    up.add("CA1")
    assert limits.refuses("CA2", ANNA) == "a caller who has as many calls as they may"
    assert limits.refuses("CA3", BERT) is None
    up.clear()
    assert limits.refuses("CA4", ANNA) is None


def test_caller_may_call_so_often():
    clock = Clock()
    limits = gate(clock, per_hour=2)

    assert [limits.refuses(sid, ANNA) is None for sid in ("CA1", "CA2", "CA3")] == [
        *(True, True, False)
    ]
    clock.now = 3601.0
    assert limits.refuses("CA4", ANNA) is None


def test_twilio_may_ask_twice():
    limits = gate(per_hour=1)

    assert limits.refuses("CA1", ANNA) is None
    assert limits.refuses("CA1", ANNA) is None
    assert limits.refuses("CA2", ANNA) is not None


def test_callers_without_a_number_are_not_one():
    limits = gate(per_hour=1)

    assert [limits.refuses(f"CA{n}", "+266696687") for n in range(3)] == [None] * 3


def test_callers_that_are_remembered_have_a_bound():
    limits = gate(per_hour=1)

    for number in range(12_000):
        limits.refuses(f"CA{number}", f"+1212{number:07}")

    assert len(limits._callers) == 10_000  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"blocked": (ANNA, "Anna")}, "in blocked, got something else at place 1"),
        ({"allowed": ("*",)}, "in allowed, got something else at place 0"),
        ({"at_once": 0}, "expected at_once of at least 1"),
        ({"per_hour": 0}, "expected per_hour of at least 1"),
        ({"answer": " "}, "expected busy, rejected or a text"),
    ],
)
def test_rules_that_cannot_be_are_refused(rules: dict[str, object], text: str):
    with pytest.raises(ConfigurationError) as caught:
        CallerRules(**rules)  # pyright: ignore[reportArgumentType] - as somebody may write it

    assert text in str(caught.value)
    assert ANNA not in str(caught.value)
    assert ANNA not in repr(CallerRules(blocked=(ANNA,)))


async def bot(call: Call) -> None:
    await call.run(Pipeline([call.transport.input(), call.transport.output()]), greeting=clip(1.0))


def served(phone: Phone, **rules: object):
    callers = CallerRules(**rules)  # pyright: ignore[reportArgumentType] - as a test has them
    return create_app(bot, ServerSettings(auth_token=phone.auth_token, callers=callers))


async def test_blocked_caller_hears_that_it_is_busy(phone: Phone):
    app = served(phone, blocked=(ANNA,))

    async with phone.call(app, numbers=Numbers(from_number=ANNA)) as caller:
        assert await caller.wait_for_end() is CallEnd.REJECTED


async def test_blocked_caller_may_be_told_so(phone: Phone):
    app = served(phone, blocked=(ANNA,), answer="We do not take your calls.")

    async with phone.call(app, numbers=Numbers(from_number=ANNA)) as caller:
        assert await caller.wait_for_end(seconds=20) is CallEnd.BOT_HUNG_UP

    assert not caller.result.heard_spans


async def test_second_call_of_a_caller_waits_for_the_first(phone: Phone):
    numbers = Numbers(from_number=ANNA)

    async with phone.desk(served(phone, at_once=1)) as desk:
        async with desk.call(numbers=numbers) as first:
            await first.wait(1.0)
            async with desk.call(numbers=numbers) as second:
                assert await second.wait_for_end() is CallEnd.REJECTED
            async with desk.call(numbers=Numbers(from_number=BERT)) as other:
                await other.wait_for_bot()
        async with desk.call(numbers=numbers) as again:
            await again.wait_for_bot()
