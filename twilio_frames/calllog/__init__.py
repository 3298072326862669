"""Writing a call down as it goes; ``twilio_frames.report`` makes a picture of it."""

from twilio_frames.calllog.log import CallLog

__all__ = ["CallLog"]
