"""Encrypts what a register holds of calls, so that whoever reads it learns nothing."""

import base64
import hashlib
from dataclasses import replace
from typing import Any

from twilio_frames.errors import brought_by
from twilio_frames.fleet.register import Claim

__all__ = ["Seal"]


class Seal:
    """Encrypts and authenticates by a secret (Fernet: AES-128-CBC and HMAC-SHA256).

    Args:
        secret: What all workers share; None: nothing is encrypted.

    Raises:
        MissingExtraError: The package ``cryptography`` is not installed.
    """

    def __init__(self, secret: str | None):
        self._box: Any = None
        if secret is None:
            return
        with brought_by("sealed"):
            from cryptography.fernet import Fernet
        # A secret of any length; 600,000 rounds, as whoever has the register can guess at leisure.
        key = hashlib.pbkdf2_hmac("sha256", secret.encode(), b"twilio-frames register", 600_000)
        self._box = Fernet(base64.urlsafe_b64encode(key))

    def close(self, text: bytes, about: str) -> bytes:
        """Encrypts.

        Args:
            text: What nobody is to read.
            about: What it is of, such as a call: it opens for that alone, so that whoever can write
                to a register cannot have one call go on with what was said on another.
        """
        if self._box is None:
            return text
        return self._box.encrypt(_label(about) + text)

    def open(self, sealed: bytes, about: str) -> bytes | None:
        """Decrypts; None if it is no work of this secret's, or of something else."""
        if self._box is None:
            return sealed
        from cryptography.fernet import InvalidToken

        try:
            text: bytes = self._box.decrypt(sealed)
        except InvalidToken:
            return None
        label = _label(about)
        return text[len(label) :] if text.startswith(label) else None

    def open_claim(self, claim: Claim, call_sid: str) -> Claim:
        """Decrypts what was kept of a call; what cannot be read is left out."""

        def opened(sealed: bytes | None, kind: str) -> bytes | None:
            return self.open(sealed, f"{kind} {call_sid}") if sealed else None

        notes = [opened(note, "note") for note in claim.notes]
        return replace(
            claim,
            snapshot=opened(claim.snapshot, "snapshot"),
            progress=opened(claim.progress, "progress") or b"",
            notes=tuple(note for note in notes if note is not None),
        )


def _label(about: str) -> bytes:
    """Of one length, whatever it is of."""
    return hashlib.sha256(about.encode("utf-8", "surrogatepass")).digest()
