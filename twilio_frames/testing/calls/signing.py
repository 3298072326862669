"""How the simulated Twilio signs its requests, in each of the spellings that Twilio uses. Pure.

Sources: https://www.twilio.com/docs/usage/security#validating-requests,
https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from twilio_frames.signature import HMAC_SHA1, SETTINGS_HEADER, SIGNATURE_HEADER, sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """What requests are signed with, and which spelling of a stream's URL.

    A bot's server should accept each of the spellings; a test can have it meet them all.

    Parameters:
        auth_token: The account's primary auth token.
        shared_key: Id of a shared key, to sign webhooks with it in place of the auth token.
        shared_secret: Its secret.
        algorithm: Of the shared key: ``HMAC_SHA1`` or ``HMAC_SHA256``.
        with_slash: Whether an upgrade is signed with a slash behind the path. Twilio's own advice
            to those whose check fails is to append one.
        with_port: Whether an upgrade is signed with the port, where the URL has one.
    """

    auth_token: str = field(repr=False)
    shared_key: str = ""
    shared_secret: str = field(default="", repr=False)
    algorithm: str = HMAC_SHA1
    with_slash: bool = False
    with_port: bool = True

    def webhook_headers(self, url: str, form: Mapping[str, str] | None) -> dict[str, str]:
        """The headers that sign a webhook: over HTTPS without the port, over HTTP with it."""
        url = _webhook_spelling(url)
        if not self.shared_key:
            return {SIGNATURE_HEADER: sign(self.auth_token, url, form)}
        return {
            SIGNATURE_HEADER: sign(self.shared_secret, url, form, algorithm=self.algorithm),
            SETTINGS_HEADER: f"key={self.shared_key},algorithm={self.algorithm}",
        }

    def upgrade_headers(self, url: str) -> dict[str, str]:
        """The headers that sign an upgrade: always over ``wss``, the name in lower case."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        if not self.with_port and parts.port is not None:
            host = host.rpartition(":")[0]
        path = parts.path if not self.with_slash else parts.path.rstrip("/") + "/"
        spelled = urlunsplit(parts._replace(scheme="wss", netloc=host, path=path))
        return {SIGNATURE_HEADER.lower(): sign(self.auth_token, spelled)}


def _webhook_spelling(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "https" and parts.port is not None:
        host = host.rpartition(":")[0]
    return urlunsplit(parts._replace(netloc=host))
