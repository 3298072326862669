"""Google Cloud hears and speaks on the phone line.

Import this module when the program starts, not when a call comes in: Google's modules take seconds.
"""

from twilio_frames.errors import MissingExtraError

try:
    from twilio_frames.services.google_stt import APOLOGY, PhoneGoogleSTTService
    from twilio_frames.services.google_tts import PhoneGoogleTTSService
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "google", "google") from error

__all__ = ["APOLOGY", "PhoneGoogleSTTService", "PhoneGoogleTTSService"]
