"""What the calls of a load share: the account, the HTTP client, the clock, what can be said."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from twilio_frames.testing.calls.facts import CallStatus, Numbers
from twilio_frames.testing.calls.signing import Signing
from twilio_frames.testing.calls.webhooks import Webhooks
from twilio_frames.testing.load.phrases import PhraseSet
from twilio_frames.testing.load.talk import CallerBehaviour
from twilio_frames.testing.load.timer_wheel import TimerWheel


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What every call of one load needs.

    Parameters:
        url: What is rung: a TwiML webhook, or a stream.
        parameters: Custom parameters of a stream that is rung without TwiML.
    """

    url: str
    account_sid: str
    signing: Signing
    parameters: Mapping[str, str] = field(repr=False)
    phrase_set: PhraseSet
    behaviour: CallerBehaviour
    wheel: TimerWheel
    webhooks: Webhooks

    def webhook_parameters(self, call_sid: str) -> dict[str, str]:
        """What the webhook that answers a call is told."""
        return Numbers().parameters() | {
            "CallSid": call_sid,
            "AccountSid": self.account_sid,
            "CallStatus": CallStatus.RINGING.value,
        }
