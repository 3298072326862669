"""Who calls: number, name, why there is no number, who vouches for it, by which way it came."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

__all__ = ["SIP_HEADER", "TOLD_OF_CALLERS", "Attestation", "KnownCaller", "Withheld"]

SIP_HEADER = "SipHeader_"
"""What the name of a SIP header begins with in Twilio's form."""
TOLD_OF_CALLERS = ("ForwardedFrom", "CallerName", "StirVerstat")
"""What else of Twilio's form a bot gets to know, by Twilio's names, which no parameter of a bot's
own is likely to have."""


class Withheld(StrEnum):
    """Why a call comes without its caller's number."""

    ANONYMOUS = "anonymous"
    RESTRICTED = "restricted"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"

    @classmethod
    def of(cls, number: str) -> "Withheld | None":
        """Why what Twilio gives as a number is none; None where it may well be one.

        Where a caller has no number, Twilio gives one that spells the reason on a telephone's keys,
        or the reason itself, or a SIP address with the name ``anonymous``.
        """
        if (reason := _SPELLED.get(number.removeprefix("+"))) is not None:
            return reason
        user = number.lower().removeprefix("sips:").removeprefix("sip:").partition("@")[0]
        return cls(user) if user in set(cls) else None


_SPELLED = {
    # https://support.twilio.com/hc/en-us/articles/223179988
    "266696687": Withheld.ANONYMOUS,
    "2562533": Withheld.BLOCKED,
    "8656696": Withheld.UNKNOWN,
    "86282452253": Withheld.UNAVAILABLE,
    # As Twilio's article has it, and as the keys spell it: both are seen.
    "7378742883": Withheld.RESTRICTED,
    "7378742833": Withheld.RESTRICTED,
}


class Attestation(StrEnum):
    """What the network says of a caller's number (STIR/SHAKEN).

    Source: https://www.twilio.com/docs/voice/trusted-calling-with-shakenstir
    """

    FULL = "A"
    """Its operator knows the caller, and that they may use the number."""
    PARTIAL = "B"
    """It knows the caller, and not whether they may."""
    GATEWAY = "C"
    """It knows where the call came from, and no more."""
    FAILED = "failed"
    """The signature is not in order, or could not be checked: the number may be forged."""
    NONE = "none"
    """There is no signature that could be checked."""

    @classmethod
    def of(cls, verstat: str) -> "Attestation":
        """What Twilio's ``StirVerstat`` says; that of a diverted call, too."""
        if verstat.startswith("TN-Validation-Passed-"):
            grade = verstat.removeprefix("TN-Validation-Passed-").partition("-")[0]
            return cls(grade) if grade in ("A", "B", "C") else cls.NONE
        return cls.FAILED if verstat.startswith("TN-Validation-Failed") else cls.NONE


class KnownCaller:
    """Who calls whom, as far as the parameters of a call's stream tell."""

    _parameters: Mapping[str, str]

    @property
    def parameters(self) -> Mapping[str, str]:
        """What the TwiML passed to the stream, by name."""
        return self._parameters

    @property
    def from_number(self) -> str | None:
        """Who calls: a number, a SIP address, or why there is none, ``anonymous`` say.

        None if the TwiML did not say. See :attr:`withheld`.
        """
        return self.withheld or self._parameters.get("from")

    @property
    def withheld(self) -> Withheld | None:
        """Why there is no number to call back; None where there is one."""
        return Withheld.of(self._parameters.get("from", ""))

    @property
    def to_number(self) -> str | None:
        """Who is called. None if the TwiML did not say."""
        return self._parameters.get("to")

    @property
    def direction(self) -> str | None:
        """``inbound``, or ``outbound-api`` for a call this side placed."""
        return self._parameters.get("direction")

    @property
    def forwarded_from(self) -> str | None:
        """The number that was called first, of a forwarded call; None where no operator says."""
        return self._parameters.get("ForwardedFrom")

    @property
    def caller_name(self) -> str | None:
        """The caller's name (CNAM), where the number's settings have Twilio look it up."""
        return self._parameters.get("CallerName")

    @property
    def attestation(self) -> Attestation | None:
        """Who vouches for the caller's number; None where Twilio says nothing of it."""
        verstat = self._parameters.get("StirVerstat")
        return None if verstat is None else Attestation.of(verstat)

    @property
    def sip_headers(self) -> Mapping[str, str]:
        """The headers of a call that came over SIP, by their names (``X-...``)."""
        return MappingProxyType(
            {
                name.removeprefix(SIP_HEADER): value
                for name, value in self._parameters.items()
                if name.startswith(SIP_HEADER)
            }
        )
