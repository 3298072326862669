"""What ``twilio-frames doctor`` looks at, each with what to do where it is not as it should be."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from twilio_frames.errors import RestError
from twilio_frames.hosts import proxy_for
from twilio_frames.rest import TwilioRest
from twilio_frames.server import ServerSettings
from twilio_frames.server.addresses import is_reachable
from twilio_frames.server.settings import REGIONS
from twilio_frames.signature import SIGNATURE_HEADER, sign

__all__ = ["CHECKS", "Finding", "Patient", "Verdict"]

_LATE_SECS = 30.0
"""A clock that is off by more dates logs and calling hours wrongly."""
_QUEUED_SECS = 5.0
"""A call that waited longer at Twilio had too many others before it."""
_NO_CALL = "CA00000000000000000000000000000000"
_CARTESIA_VERSION = "2025-04-16"


class Verdict(Enum):
    """What a check found."""

    GOOD = "good"
    NOTE = "note"
    """It works, and there is something to know."""
    BAD = "bad"
    SKIPPED = "skipped"
    """There was nothing to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One of a check's.

    Parameters:
        check: Which check.
        verdict: Whether it is as it should be.
        told: What was found, and what to do.
    """

    check: str
    verdict: Verdict
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is looked at.

    Parameters:
        settings: The server's, as it would read them.
        environment: The environment's variables.
        rest: The account; None without one.
        session: Asks the server and the vendors.
    """

    settings: ServerSettings
    environment: Mapping[str, str]
    rest: TwilioRest | None
    session: aiohttp.ClientSession

    @property
    def base(self) -> str:
        """Where Twilio reaches the server; empty if nobody said."""
        return (self.settings.public_url or "").rstrip("/")


_Found = tuple[Verdict, str]
Check = Callable[[Patient], Awaitable[_Found]]


async def _credentials(patient: Patient) -> _Found:
    if patient.rest is None and patient.environment.get("TWILIO_ACCOUNT_SID"):
        return Verdict.SKIPPED, "the settings come first: see above"
    if patient.rest is None:
        return Verdict.BAD, (
            "no account: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, from the Twilio console"
        )
    try:
        account = await patient.rest.account()
    except RestError as error:
        if error.status in (401, 403, 404):
            return Verdict.BAD, (
                f"Twilio refuses them ({error.code or error.status}): see that TWILIO_ACCOUNT_SID "
                "and the secret are of one account, and of the region in TWILIO_REGION, since each "
                "region has its own"
            )
        return Verdict.BAD, f"Twilio was not asked: {error}"
    if account.status != "active":
        return Verdict.BAD, f"the account is {account.status}: see the Twilio console"
    if patient.settings.auth_token is None:
        return Verdict.BAD, (
            "an API key alone: set TWILIO_AUTH_TOKEN as well, since webhooks are signed with it"
        )
    if account.kind == "Trial":
        return Verdict.NOTE, (
            "a trial account: it calls verified numbers only, says so to who picks up, and has few "
            "calls at a time; upgrade it in the console for more"
        )
    return Verdict.GOOD, "the account is active"


async def _region(patient: Patient) -> _Found:
    region, edge = patient.settings.region or "us1", patient.settings.edge
    if region not in REGIONS:
        return Verdict.BAD, (
            f"no region of Twilio's is {region!r}: set TWILIO_REGION to {', '.join(REGIONS)}, or "
            "leave it out"
        )
    if edge and edge not in REGIONS[region]:
        return Verdict.NOTE, (
            f"requests to {region} go by {edge}, which is far from it: {REGIONS[region][0]} is "
            "nearer (TWILIO_EDGE)"
        )
    return Verdict.GOOD, f"{region}" + (f" by {edge}" if edge else "")


async def _number(patient: Patient) -> _Found:
    if patient.rest is None or not patient.settings.phone_number:
        return Verdict.SKIPPED, "no number: set TWILIO_PHONE_NUMBER to one of the account's"
    found = await patient.rest.numbers(patient.settings.phone_number)
    if not found:
        return Verdict.NOTE, (
            "TWILIO_PHONE_NUMBER is none of the account's numbers: calls can be placed from it "
            "only if it is a verified caller id, and none come in"
        )
    (number,) = found
    wanted = f"{patient.base or 'https://your-host'}/twiml"
    if not number.takes_calls:
        return Verdict.BAD, "the number is not made for calls: buy one that has voice"
    if number.application_sid or number.trunk_sid:
        what = "a TwiML application" if number.application_sid else "a SIP trunk"
        return Verdict.BAD, (
            f"its calls go to {what}, and not to a webhook: take that away in the console, and "
            f"set the webhook {wanted}"
        )
    if not number.voice_url:
        return Verdict.BAD, f"it has no webhook for calls: set {wanted} in the console, with POST"
    if patient.base and number.voice_url.partition("?")[0].rstrip("/") != wanted:
        return Verdict.BAD, (
            f"its webhook is another than this server's: set {wanted} in the console, or "
            "TWILIO_FRAMES_PUBLIC_URL to where the server is"
        )
    if number.voice_method != "POST":
        return Verdict.NOTE, (
            f"its webhook is asked by {number.voice_method}: that works, but what it says stands "
            "in the logs of every proxy on the way; set POST in the console"
        )
    return Verdict.GOOD, "calls to it go to this server's webhook"


async def _clock(patient: Patient) -> _Found:
    if patient.rest is None or (now := patient.rest.now()) is None:
        return Verdict.SKIPPED, "no answer of Twilio's to compare it with"
    off = time.time() - now
    if abs(off) > _LATE_SECS:
        ahead = "ahead of" if off > 0 else "behind"
        return Verdict.BAD, f"it is {abs(off):.0f} s {ahead} Twilio's: have it set by NTP"
    return Verdict.GOOD, "it goes with Twilio's"


async def _rates(patient: Patient) -> _Found:
    if patient.rest is None:
        return Verdict.SKIPPED, "no account"
    calls = await patient.rest.calls(most=20)
    queued = max((call.queue_secs for call in calls), default=0.0)
    if queued > _QUEUED_SECS:
        return Verdict.NOTE, (
            f"of the last {len(calls)} calls one waited {queued:.0f} s in Twilio's queue: place "
            "fewer in a second (1 is an account's default), or ask Twilio for a higher rate"
        )
    if patient.settings.dials_per_minute > 60:
        return Verdict.NOTE, (
            f"TWILIO_FRAMES_DIALS_PER_MINUTE allows {patient.settings.dials_per_minute}, and an "
            "account places 60 by default: what is more waits, unless Twilio gave you a higher rate"
        )
    return Verdict.GOOD, "no call had to wait in Twilio's queue"


async def _reached(patient: Patient) -> _Found:
    if not patient.base:
        return Verdict.SKIPPED, (
            "nobody said where Twilio reaches the server: set TWILIO_FRAMES_PUBLIC_URL to your "
            "domain or tunnel, such as https://bot.example.com"
        )
    parts = urlsplit(patient.base)
    if patient.settings.api_url is None:
        if not is_reachable(parts.hostname or ""):
            return Verdict.BAD, (
                "TWILIO_FRAMES_PUBLIC_URL is an address of this machine or its own network: set "
                "it to that of your domain or tunnel"
            )
        if parts.scheme != "https":
            return Verdict.BAD, (
                "TWILIO_FRAMES_PUBLIC_URL is no https://, and Twilio opens streams by wss:// "
                "alone: have your proxy or tunnel speak TLS"
            )
    status, told = await _ask(patient, "GET", "/healthz")
    if isinstance(told, dict) and told.get("status") == "draining":
        return Verdict.NOTE, "the server is about to stop, or has just been told to"
    if status != 200 or not isinstance(told, dict) or "version" not in told:
        return Verdict.BAD, (
            f"{patient.base}/healthz is answered by something else (HTTP {status}): see that "
            "`twilio-frames serve` runs, and that the tunnel or proxy leads to its port"
        )
    return Verdict.GOOD, f"the server answers, version {told['version']}"


async def _signature(patient: Patient) -> _Found:
    token = patient.settings.auth_token
    if not patient.base or token is None:
        return Verdict.SKIPPED, "no address, or no auth token to sign with"
    # Of a call that nobody knows it says nothing but <Hangup/>, and keeps nothing.
    form = {"CallSid": _NO_CALL, "CallStatus": "completed"}
    signature = sign(token, f"{patient.base}/after-stream", form)
    signed, _ = await _ask(patient, "POST", "/after-stream", form, {SIGNATURE_HEADER: signature})
    unsigned, _ = await _ask(patient, "POST", "/after-stream", form, {SIGNATURE_HEADER: "AAAA"})
    if signed == 403:
        return Verdict.BAD, (
            "a request that is signed as Twilio's is refused: see that the server has this "
            "TWILIO_AUTH_TOKEN, and TWILIO_FRAMES_PUBLIC_URL as it is here, to the letter"
        )
    if signed != 200:
        return Verdict.BAD, (
            f"a signed request to {patient.base}/after-stream was answered with HTTP {signed}: see "
            "that the tunnel or proxy passes POST on, with its form and headers"
        )
    if unsigned == 200:
        return Verdict.BAD, (
            "a wrong signature is taken as well: start the server with TWILIO_AUTH_TOKEN"
        )
    return Verdict.GOOD, "a signed request is taken, a forged one is not"


async def _upgrade(patient: Patient) -> _Found:
    if not patient.base:
        return Verdict.SKIPPED, "no address"
    parts = urlsplit(patient.base + "/stream")
    scheme = "wss" if parts.scheme == "https" else "ws"
    url = urlunsplit(parts._replace(scheme=scheme))
    token = patient.settings.auth_token
    headers = {SIGNATURE_HEADER: sign(token, url)} if token else {}
    try:
        socket = await patient.session.ws_connect(url, headers=headers, proxy=proxy_for(url))
        await socket.close()
    except aiohttp.WSServerHandshakeError as error:
        if error.status == 403:
            return Verdict.BAD, (
                "the signed upgrade to a WebSocket is refused: see the signature above"
            )
        return Verdict.BAD, (
            f"{url} does not become a WebSocket (HTTP {error.status}): have the tunnel or proxy "
            "pass upgrades on (nginx: proxy_http_version 1.1, and the headers Upgrade and "
            "Connection)"
        )
    except (aiohttp.ClientError, TimeoutError) as error:
        return Verdict.BAD, f"{url} was not reached ({type(error).__name__})"
    return Verdict.GOOD, "streams can be opened"


async def _ask(
    patient: Patient,
    method: str,
    path: str,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    """What the server answers: HTTP status, and JSON if it is some; 0 if it was not reached."""
    url = patient.base + path
    try:
        async with patient.session.request(
            method, url, data=form, headers=headers, allow_redirects=False, proxy=proxy_for(url)
        ) as answer:
            try:
                return answer.status, await answer.json(content_type=None)
            except ValueError:
                return answer.status, None
    except (aiohttp.ClientError, TimeoutError):
        return 0, None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vendor:
    """How a vendor is asked whether it knows a key.

    Parameters:
        address: Where, unless ``..._BASE_URL`` says.
        path: What is read with the key, and costs nothing.
        scheme: What stands before the key in ``Authorization``.
    """

    address: str
    path: str
    scheme: str = "Bearer"


_VENDORS = {
    "DEEPGRAM": _Vendor(address="https://api.deepgram.com", path="/v1/projects", scheme="Token"),
    "OPENAI": _Vendor(address="https://api.openai.com/v1", path="/models"),
    "CARTESIA": _Vendor(address="https://api.cartesia.ai", path="/voices?limit=1"),
}
"""https://developers.deepgram.com/reference/manage/projects/list,
https://platform.openai.com/docs/api-reference/models/list,
https://docs.cartesia.ai/api-reference/voices/list"""


def _vendor(name: str) -> Check:
    async def check(patient: Patient) -> _Found:
        key = patient.environment.get(f"{name}_API_KEY")
        if not key:
            return Verdict.SKIPPED, f"{name}_API_KEY is not set"
        vendor = _VENDORS[name]
        base = patient.environment.get(f"{name}_BASE_URL") or vendor.address
        scheme, _, rest = base.rstrip("/").rpartition("://")
        url = f"{'http' if scheme in ('http', 'ws') else 'https'}://{rest}{vendor.path}"
        headers = {"Authorization": f"{vendor.scheme} {key}", "Cartesia-Version": _CARTESIA_VERSION}
        if name != "CARTESIA":
            del headers["Cartesia-Version"]
        try:
            async with patient.session.get(url, headers=headers, proxy=proxy_for(url)) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Verdict.BAD, (
                f"it was not reached ({type(error).__name__}): see the network and {name}_BASE_URL"
            )
        if status == 401:
            return Verdict.BAD, f"the key is refused: set {name}_API_KEY to one that is valid"
        if status == 429:
            return Verdict.NOTE, "it has had too many requests, or the account has no credit left"
        if status >= 400:
            return (
                Verdict.NOTE,
                f"it answers HTTP {status}: the key may lack a right, or it has a bad day",
            )
        return Verdict.GOOD, "the key is taken"

    return check


CHECKS: Mapping[str, Check] = {
    "credentials": _credentials,
    "region": _region,
    "number": _number,
    "clock": _clock,
    "rates": _rates,
    "address": _reached,
    "signature": _signature,
    "stream": _upgrade,
    "deepgram": _vendor("DEEPGRAM"),
    "openai": _vendor("OPENAI"),
    "cartesia": _vendor("CARTESIA"),
}
"""By their names, in the order in which one needs what the other found."""
