"""A telephone in a web page: somebody speaks to a bot, over a simulated Twilio's own call."""

from twilio_frames.testing.softphone.softphone import Softphone

__all__ = ["Softphone"]
