"""Twilio's REST API, as far as calls need it: dial, look, redirect, hang up.

Requests are made by the official SDK; only its HTTP client is replaced, through the seam the SDK
offers for it. The SDK's own asynchronous client has no time limit (its ``timeout`` is ignored),
posts again after any 5xx when retries are on, which can dial twice, and cannot be pointed at
another host.

What is tried again, within ``retry_for`` seconds: a 429, which Twilio never processed
(https://www.twilio.com/docs/api/errors/20429); a connection that was never made; and, where doing
it twice is the same as doing it once, a 5xx. ``POST /Calls`` has no idempotency key, so after a
5xx or a time-out nobody knows whether the phone rings: that is for the caller to decide.
"""

from twilio_frames.rest.client import TwilioRest
from twilio_frames.rest.credentials import Credentials
from twilio_frames.rest.options import CallOptions

__all__ = ["CallOptions", "Credentials", "TwilioRest"]
