"""From what is rung to the bot's stream: a webhook's TwiML, as far as a load needs to follow it.

The first ``<Connect><Stream>`` is what is looked for. ``<Redirect>`` in front of it is followed,
``<Pause>`` is waited for, all else is passed over; what would come behind the stream never happens.
"""

import asyncio

from twilio_frames.testing.calls.alerts import Alert
from twilio_frames.testing.load.account import Account
from twilio_frames.testing.streams.upgrade import ringable_scheme
from twilio_frames.testing.verbs import ConnectStream, Pause, Redirect, Reject, Verb, read_twiml

_MAX_DOCUMENTS = 10


async def find_stream(account: Account, call_sid: str) -> ConnectStream | str:
    """The stream a new call is to be connected to, or why there is none."""
    if ringable_scheme(account.url) in ("ws", "wss"):
        return ConnectStream(url=account.url, parameters=dict(account.parameters))
    url, method = account.url, "POST"
    for _ in range(_MAX_DOCUMENTS):
        parameters = account.webhook_parameters(call_sid)
        reply = await account.webhooks.request(url, parameters, method=method)
        if isinstance(reply, Alert):
            return str(reply)
        verbs = read_twiml(reply.text, reply.url)
        if isinstance(verbs, Alert):
            return str(verbs)
        found = await _follow(verbs)
        if not isinstance(found, Redirect):
            return found
        url, method = found.url, found.method
    return f"expected at most {_MAX_DOCUMENTS} TwiML documents, got more"


async def _follow(verbs: list[Verb]) -> ConnectStream | Redirect | str:
    for verb in verbs:
        match verb:
            case ConnectStream() | Redirect():
                return verb
            case Pause(seconds=seconds):
                await asyncio.sleep(seconds)
            case Reject():
                return "expected the call to be taken, got <Reject>"
            case _:
                pass
    return "expected <Connect><Stream> in the TwiML, got none"
