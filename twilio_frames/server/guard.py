"""Lets only Twilio into an application of your own: signature and token, as our own server does.

FastAPI and Starlette::

    guard = TwilioGuard()  # TWILIO_AUTH_TOKEN, TWILIO_FRAMES_PUBLIC_URL


    @app.post("/twiml")
    async def twiml(webhook: Annotated[Webhook, Depends(guard.webhook)]) -> Response:
        return Response(webhook.connect("/stream"), media_type="text/xml")


    @app.websocket("/stream")
    async def stream(transport: Annotated[TwilioTransport, Depends(guard.stream)]) -> None: ...

aiohttp::

    guard = AiohttpTwilioGuard()


    async def twiml(request: web.Request) -> web.Response:
        webhook = await guard.webhook(request)
        return web.Response(text=webhook.connect("/stream"), content_type="text/xml")


    async def stream(request: web.Request) -> web.WebSocketResponse:
        websocket, transport = await guard.stream(request)
        ...
        return websocket

``TwilioGuard`` itself lives in :mod:`twilio_frames.server.starlette_guard`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import WSCloseCode, web

from twilio_frames.call import TOKEN_PARAMETER
from twilio_frames.errors import CallFailedError, StreamTimeoutError
from twilio_frames.protocol import MAX_MESSAGE
from twilio_frames.server.addresses import (
    Asked,
    is_from_here,
    places,
    signed_place,
    source_of,
    unsigned_advice,
    websocket_url,
)
from twilio_frames.server.calls.tokens import StreamTokens
from twilio_frames.server.incoming import LARGEST_BODY, MOST_FIELDS, read_body, too_many
from twilio_frames.server.refusals import Refusals, Strangers, shown
from twilio_frames.server.settings import ServerSettings
from twilio_frames.signature import SIGNATURE_HEADER, SignatureValidator
from twilio_frames.transport import TwilioParams, TwilioTransport
from twilio_frames.twiml import connect_stream

__all__ = ["AiohttpTwilioGuard", "Webhook"]

_TOO_MANY = "expected Twilio's signature, got too many requests without"
_NOT_TWILIO = f"expected Twilio's signature in {SIGNATURE_HEADER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook that Twilio signed.

    Parameters:
        form: What it says: ``CallSid``, ``From`` and the others.
        base: Where Twilio reaches the application, without a slash at the end.
    """

    form: Mapping[str, str] = field(repr=False)
    base: str
    _issue: Callable[[str], str] = field(repr=False)

    def connect(self, path: str, *, parameters: Mapping[str, str] | None = None) -> str:
        """The TwiML that connects the call to a stream of this application.

        Args:
            path: Where its WebSocket is, such as ``/stream``.
            parameters: What the bot is to know: ``start.customParameters``.

        Raises:
            ConfigurationError: Twilio would refuse a parameter, or the whole.
        """
        token = self._issue(self.form.get("CallSid", ""))
        return connect_stream(
            websocket_url(self.base) + path,
            parameters={**(parameters or {}), TOKEN_PARAMETER: token},
        )


class Door:
    """What both guards have: the check of signatures and tokens, whatever the framework.

    Args:
        settings: ``auth_token``, ``shared_keys``, ``public_url``, ``trust_proxies``,
            ``token_seconds`` and ``transport`` of them are used; None for the environment's.
            Without an auth token only this machine is let in.
    """

    def __init__(self, settings: ServerSettings | None = None):
        self.settings = settings or ServerSettings.from_environment()
        self._tokens = StreamTokens(lifetime=self.settings.token_seconds)
        self._refusals = Refusals()
        self._strangers = Strangers.of_a_server()
        self._validator = (
            SignatureValidator(
                auth_token=self.settings.auth_token, shared_keys=self.settings.shared_keys
            )
            if self.settings.auth_token
            else None
        )

    def wait_secs(self, headers: Mapping[str, str], remote: str | None) -> float:
        """How long whoever shows no signature is to wait, for having been refused too often."""
        if SIGNATURE_HEADER in headers or self._validator is None:
            return 0.0
        return self._strangers.wait_secs(self._source(headers, remote))

    def _source(self, headers: Mapping[str, str], remote: str | None) -> str:
        return source_of(headers, remote, trust_proxies=self.settings.trust_proxies)

    def base(self, asked: Asked, remote: str | None, form: list[tuple[str, str]]) -> str | None:
        """Where Twilio reaches the application, by what it signed; None if it did not."""
        found = places(
            asked,
            public_url=self.settings.public_url,
            trust_proxies=self.settings.trust_proxies,
        )
        if self._validator is None:
            if is_from_here(asked.headers, remote):
                return found[0].base
            self._refuse("a request from elsewhere", "without TWILIO_AUTH_TOKEN", asked)
            return None
        is_stream = asked.scheme in ("ws", "wss")
        place = signed_place(found, asked.headers, form, self._validator, is_stream=is_stream)
        if place is not None:
            return place.base
        self._strangers.note(self._source(asked.headers, remote))
        self._refuse("a signature of Twilio's missing or wrong", unsigned_advice(found), asked)
        return None

    def webhook_of(self, form: list[tuple[str, str]], base: str) -> Webhook:
        """What a handler is given."""
        return Webhook(form=dict(form), base=base, _issue=self._tokens.issue)

    async def admit(
        self, transport: TwilioTransport, headers: Mapping[str, str], remote: str | None
    ) -> bool:
        """Wait for a stream to begin; whether it has the token of this very call."""
        is_admitted = await self._has_token(transport)
        if not is_admitted:
            self._strangers.note(self._source(headers, remote))
        return is_admitted

    async def _has_token(self, transport: TwilioTransport) -> bool:
        try:
            start = await transport.wait_for_start()
        except (StreamTimeoutError, CallFailedError) as error:
            self._refusals.note("a stream that never started", str(error))
            return False
        token = start.custom_parameters.get(TOKEN_PARAMETER, "")
        if self._tokens.redeem(token, start.call_sid):
            return True
        self._refusals.note(
            "a stream without a token that is valid for its call",
            "its TwiML has to come from this process, for each stream anew, by "
            "Webhook.connect(): run one process",
        )
        return False

    def transport_for(self, websocket: object) -> TwilioTransport:
        """A transport with the settings' parameters."""
        given = self.settings.transport
        return TwilioTransport(websocket, params=given.model_copy() if given else TwilioParams())

    def _refuse(self, kind: str, advice: str, asked: Asked) -> None:
        path = asked.target.partition("?")[0]
        self._refusals.note(kind, advice, came=shown(path))


def parse_form(text: str) -> list[tuple[str, str]]:
    """A form's fields.

    Raises:
        ValueError: It is none, or has too many.
    """
    return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)


class AiohttpTwilioGuard(Door):
    """Lets only Twilio into an aiohttp application."""

    async def webhook(self, request: web.Request) -> Webhook:
        """The webhook that a request is.

        Raises:
            HTTPException: 403 if Twilio did not sign it, 429 to whoever sends many such, another
                4xx if it is none.
        """
        if wait := self.wait_secs(request.headers, request.remote):
            raise too_many(_TOO_MANY, wait)
        try:
            text = request.query_string
            if request.method != "GET":
                text = (await read_body(request)).decode()
                if len(text) > LARGEST_BODY:
                    raise web.HTTPRequestEntityTooLarge(LARGEST_BODY, len(text))
            form = parse_form(text)
        except ValueError:
            raise web.HTTPBadRequest(text="expected a form in UTF-8") from None
        base = self.base(_asked(request), request.remote, [] if request.method == "GET" else form)
        if base is None:
            raise web.HTTPForbidden(text=_NOT_TWILIO)
        return self.webhook_of(form, base)

    async def stream(self, request: web.Request) -> tuple[web.WebSocketResponse, TwilioTransport]:
        """The WebSocket of a call, which the handler has to return, and its transport.

        Raises:
            HTTPException: 403 if Twilio did not sign the upgrade; the stream's token was wrong.
        """
        asked = _asked(request, scheme="wss" if request.secure else "ws")
        if self.base(asked, request.remote, []) is None:
            raise web.HTTPForbidden(text=_NOT_TWILIO)
        websocket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE, compress=False)
        await websocket.prepare(request)
        transport = self.transport_for(websocket)
        if not await self.admit(transport, request.headers, request.remote):
            await websocket.close(code=WSCloseCode.POLICY_VIOLATION)
            raise web.HTTPForbidden(text="expected a stream of this application's own TwiML")
        return websocket, transport


def _asked(request: web.Request, *, scheme: str = "") -> Asked:
    return Asked(scheme=scheme or request.scheme, target=request.raw_path, headers=request.headers)
