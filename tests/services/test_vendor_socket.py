"""What a vendor's socket says of its troubles."""

import pytest
from pipecat.utils.errors import ErrorCategory
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus, InvalidURI
from websockets.frames import Close
from websockets.http11 import Response

from twilio_frames.services.connection_keeper import Failure
from twilio_frames.services.vendor_socket import socket_failure

EXPECTED = "expected an answer"


def failure_of(error: Exception, *, reason: str = "") -> Failure:
    failure = socket_failure(error, EXPECTED, advice={401: "check the key"}, reason=reason)
    assert failure is not None
    return failure


def refusal(status: int, **headers: str) -> InvalidStatus:
    return InvalidStatus(Response(status, "", Headers(headers), b""))


@pytest.mark.parametrize(
    ("status", "category", "is_final"),
    [
        (401, ErrorCategory.AUTHENTICATION, True),
        (404, ErrorCategory.INVALID_REQUEST, True),
        (408, ErrorCategory.UNKNOWN, False),
        (429, ErrorCategory.RATE_LIMIT, False),
        (500, ErrorCategory.SERVER, False),
    ],
)
def test_refusals_are_told_apart(status: int, category: ErrorCategory, is_final: bool):
    failure = failure_of(refusal(status))

    assert (failure.category, failure.is_final) == (category, is_final)
    assert str(status) in failure.text


def test_refusal_says_what_to_do():
    text = failure_of(refusal(401), reason="no such key").text

    assert text == "expected an answer, got HTTP 401 (no such key): check the key"
    assert failure_of(refusal(503)).text == "expected an answer, got HTTP 503"


@pytest.mark.parametrize(("header", "secs"), [("3", 3.0), ("soon", 0.0)])
def test_vendor_asks_to_be_left_alone(header: str, secs: float):
    assert failure_of(refusal(429, **{"Retry-After": header})).wish_secs == secs


def test_address_is_not_told():
    failure = failure_of(InvalidURI("https://user:secret@vendor", "no WebSocket"))

    assert failure.is_final
    assert "begins with ws:// or wss://" in failure.text
    assert "secret" not in failure.text


def test_connection_that_broke_tells_its_code():
    closed = ConnectionClosedError(Close(1011, "what the caller said"), None)

    assert failure_of(closed).text == "the connection broke with 1011"
    assert failure_of(ConnectionClosedError(None, None)).text == "the connection broke"
    assert failure_of(TimeoutError("secret")).text == "TimeoutError"


def test_what_no_socket_raises_is_not_its_trouble():
    assert socket_failure(ValueError(), EXPECTED, advice={}) is None
