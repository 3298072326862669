"""Vendors' services on the phone line: Pipecat's own, with what a call adds to them.

Each is a subclass of Pipecat's service, takes what that takes, and stands where that stands. Each
needs its vendor's extra of this package; so import them from their modules.
"""

from twilio_frames.services.retry_policy import RetryPolicy

__all__ = ["RetryPolicy"]
