"""Services without a fallback tell how long their first byte takes, and that they fail."""

import time
from typing import Any

import pytest
from pipecat.frames.frames import ErrorFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.errors import ErrorCategory

from twilio_frames.frames import FailureKind, VendorRole
from twilio_frames.processors.fallback import vendor_health
from twilio_frames.processors.fallback.vendor_health import VendorHealth, VendorState
from twilio_frames.processors.fallback.vendor_watch import WatchedVendor, vendor_name


class PhoneEchoSTTService(WatchedVendor, FrameProcessor):
    vendor_role = VendorRole.STT


@pytest.fixture(autouse=True)
def forget_vendors(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vendor_health.VENDORS, "_vendors", {})


@pytest.fixture
def service() -> PhoneEchoSTTService:
    return PhoneEchoSTTService()


def health() -> VendorHealth:
    return vendor_health.VENDORS.of(VendorRole.STT, "echo")


def test_vendor_has_its_services_name(service: PhoneEchoSTTService):
    assert vendor_name(service) == "echo"


async def test_first_byte_is_noted_without_metrics(service: PhoneEchoSTTService):
    asked = time.time() - 3.0
    await service.start_ttfb_metrics(start_time=asked)
    await service.stop_ttfb_metrics(end_time=asked + 0.25)
    await service.stop_ttfb_metrics(end_time=asked + 2.0)

    assert (health().successes, health().first_byte(0.5)) == (1, pytest.approx(0.25))


@pytest.mark.parametrize("give_up", ["cancel_ttfb_metrics", "stop_all_metrics"])
async def test_what_was_given_up_has_no_first_byte(service: PhoneEchoSTTService, give_up: str):
    await service.start_ttfb_metrics()
    await getattr(service, give_up)()
    await service.stop_ttfb_metrics()

    assert health().successes == 0


async def test_words_of_an_utterance_before_tell_no_time(service: PhoneEchoSTTService):
    now: Any = time.time()
    await service.start_ttfb_metrics(start_time=now)
    await service.stop_ttfb_metrics(end_time=now - 0.2)

    assert (health().successes, health().first_byte(0.5)) == (1, None)


async def test_fallback_notes_it_alone(service: PhoneEchoSTTService):
    service.is_watched_by_fallback = True
    await service.start_ttfb_metrics()
    await service.stop_ttfb_metrics()

    assert health().successes == 0


@pytest.mark.parametrize(
    ("report", "kind"),
    [
        ({"category": ErrorCategory.AUTHENTICATION}, FailureKind.REFUSED),
        ({"exception": TimeoutError()}, FailureKind.CONNECTION),
        ({}, FailureKind.OTHER),
    ],
)
async def test_reported_error_is_a_failure(
    service: PhoneEchoSTTService, report: dict[str, Any], kind: FailureKind
):
    await service.push_error("expected words, got none", **report)

    assert health().failures == {kind: 1}


async def test_applications_error_is_no_failure(service: PhoneEchoSTTService):
    await service.push_error("expected sense", category=ErrorCategory.APPLICATION)
    of_another = ErrorFrame("expected words", processor=PhoneEchoSTTService())
    await service.push_error_frame(of_another)

    assert not health().failures


async def test_fallback_notes_failures_alone(service: PhoneEchoSTTService):
    service.is_watched_by_fallback = True
    await service.push_error("expected words", category=ErrorCategory.SERVER)

    assert not health().failures


async def test_lone_service_brings_its_vendor_back(service: PhoneEchoSTTService):
    """Calls with a fallback leave the vendor alone; this one goes on, and shows that it is well."""
    await service.push_error("expected words", category=ErrorCategory.SERVER)
    assert not health().may_work("a call with a fallback")
    await service.start_ttfb_metrics()
    await service.stop_ttfb_metrics()

    assert health().may_work("a call with a fallback")
    assert health().state is VendorState.WELL
