"""Google Cloud hears and speaks on the phone line.

Import this module when the program starts, not when a call comes in: Google's modules take seconds.
"""

from twilio_frames.errors import ConfigurationError, brought_by

with brought_by("google"):
    from twilio_frames.services.google.access import GoogleAccess, NoCredentialsError
    from twilio_frames.services.google.stt import PhoneGoogleSTTService
    from twilio_frames.services.google.tts import PhoneGoogleTTSService

__all__ = ["PhoneGoogleSTTService", "PhoneGoogleTTSService", "check_credentials"]


async def check_credentials(
    *, credentials: str | None = None, credentials_path: str | None = None, target: str = ""
) -> None:
    """Looks for Google's credentials before calls are taken, in a bot's ``warm_up()`` say.

    Args:
        credentials: As the services get it.
        credentials_path: As the services get it.
        target: As the services get it.

    Raises:
        ConfigurationError: If there are none, or none that can be read.
    """
    access = GoogleAccess(credentials=credentials, credentials_path=credentials_path, target=target)
    try:
        await access.identify()
    except NoCredentialsError as error:
        raise ConfigurationError(
            f"expected Google's credentials, got none that can be read ({error}): have "
            "GOOGLE_APPLICATION_CREDENTIALS name a service account's file"
        ) from error
