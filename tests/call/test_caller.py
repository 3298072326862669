"""A bot knows who calls: number or why there is none, name, attestation, way."""

from typing import Any

import pytest
from pipecat.pipeline.pipeline import Pipeline

from twilio_frames.call import Attestation, Call, Withheld
from twilio_frames.testing import Numbers, Phone


async def known(phone: Phone, numbers: Numbers) -> Call:
    calls: list[Call] = []

    async def bot(call: Call) -> None:
        calls.append(call)
        await call.run(Pipeline([call.transport.input(), call.transport.output()]))

    async with phone.call(bot, numbers=numbers) as caller:
        await caller.wait(0.5)
    return calls[0]


async def test_all_that_twilio_tells_is_known(phone: Phone):
    call = await known(
        phone,
        Numbers(
            from_number="+12125550123",
            forwarded_from="+12125550177",
            caller_name="Doe, Jane & Sons <Ltd>",
            verstat="TN-Validation-Passed-B",
            sip_headers={"X-Account": "4711", "X-Queue": "gold"},
        ),
    )

    assert (call.from_number, call.withheld) == ("+12125550123", None)
    assert call.forwarded_from == "+12125550177"
    assert call.caller_name == "Doe, Jane & Sons <Ltd>"
    assert call.attestation is Attestation.PARTIAL
    assert call.sip_headers == {"X-Account": "4711", "X-Queue": "gold"}


async def test_what_twilio_does_not_tell_is_none(phone: Phone):
    call = await known(phone, Numbers(verstat=""))

    assert (call.forwarded_from, call.caller_name, call.attestation) == (None, None, None)
    assert call.sip_headers == {}


async def test_what_is_too_long_for_a_parameter_is_left_out(phone: Phone):
    headers = {"X-Long": "x" * 600, "X-Short": "x"}

    call = await known(phone, Numbers(sip_headers=headers))

    assert call.sip_headers == {"X-Short": "x"}


async def test_bot_gets_no_more_headers_than_it_can_be_told(phone: Phone):
    call = await known(phone, Numbers(sip_headers={f"X-{n}": "x" * 400 for n in range(60)}))

    assert len(call.sip_headers) == 20


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("+266696687", Withheld.ANONYMOUS),
        ("266696687", Withheld.ANONYMOUS),
        ("anonymous", Withheld.ANONYMOUS),
        ("Anonymous", Withheld.ANONYMOUS),
        ("sip:anonymous@anonymous.invalid", Withheld.ANONYMOUS),
        ("+7378742883", Withheld.RESTRICTED),
        ("+7378742833", Withheld.RESTRICTED),
        ("+2562533", Withheld.BLOCKED),
        ("+8656696", Withheld.UNKNOWN),
        ("+86282452253", Withheld.UNAVAILABLE),
    ],
)
async def test_numbers_that_are_none_say_why(phone: Phone, number: str, reason: Withheld):
    assert Withheld.of(number) is reason
    call = await known(phone, Numbers(from_number=number))
    assert (call.from_number, call.withheld) == (reason.value, reason)


@pytest.mark.parametrize("number", ["+12125550123", "sip:bob@example.com", "client:bob", ""])
def test_other_callers_are_who_they_are(number: str):
    assert Withheld.of(number) is None


@pytest.mark.parametrize(
    ("verstat", "attestation"),
    [
        ("TN-Validation-Passed-A", Attestation.FULL),
        ("TN-Validation-Passed-B", Attestation.PARTIAL),
        ("TN-Validation-Passed-C", Attestation.GATEWAY),
        ("TN-Validation-Passed-C-Diverted", Attestation.GATEWAY),
        ("TN-Validation-Passed-A-Passthrough", Attestation.FULL),
        ("TN-Validation-Failed-A", Attestation.FAILED),
        ("TN-Validation-Failed", Attestation.FAILED),
        ("No-TN-Validation", Attestation.NONE),
        ("NULL", Attestation.NONE),
        ("TN-Validation-Passed-Z", Attestation.NONE),
    ],
)
def test_attestation_is_read(verstat: str, attestation: Any):
    assert Attestation.of(verstat) is attestation
