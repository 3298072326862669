"""Lets only Twilio into a FastAPI or Starlette application, by dependencies of one line each."""

import math

from aiohttp import WSCloseCode
from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket

from twilio_frames.server.addresses import Asked
from twilio_frames.server.guard import Door, Webhook, parse_form
from twilio_frames.server.incoming import LARGEST_BODY
from twilio_frames.transport import TwilioTransport

__all__ = ["TwilioGuard"]


class TwilioGuard(Door):
    """Lets only Twilio in; see :mod:`twilio_frames.server.guard`."""

    async def webhook(self, request: Request) -> Webhook:
        """The webhook that a request is: ``Depends(guard.webhook)``.

        Raises:
            HTTPException: 403 if Twilio did not sign it, 429 to whoever sends many such, another
                4xx if it is none.
        """
        if wait := self.wait_secs(request.headers, _remote(request)):
            retry = {"Retry-After": str(math.ceil(wait))}
            raise HTTPException(429, "expected Twilio's signature", headers=retry)
        try:
            text = request.url.query if request.method == "GET" else await _body(request)
            form = parse_form(text)
        except ValueError:
            raise HTTPException(400, "expected a form in UTF-8") from None
        signed = [] if request.method == "GET" else form
        base = self.base(_asked(request), _remote(request), signed)
        if base is None:
            raise HTTPException(403, "expected Twilio's signature in X-Twilio-Signature")
        return self.webhook_of(form, base)

    async def stream(self, websocket: WebSocket) -> TwilioTransport:
        """The transport of a call that has begun: ``Depends(guard.stream)``.

        Raises:
            WebSocketException: Twilio did not sign the upgrade, or the stream's token was wrong.
        """
        if self.base(_asked(websocket), _remote(websocket), []) is None:
            raise WebSocketException(WSCloseCode.POLICY_VIOLATION, "expected Twilio's signature")
        await websocket.accept()
        transport = self.transport_for(websocket)
        if not await self.admit(transport, websocket.headers, _remote(websocket)):
            raise WebSocketException(
                WSCloseCode.POLICY_VIOLATION, "expected this application's own TwiML"
            )
        return transport


def _remote(connection: HTTPConnection) -> str | None:
    return connection.client.host if connection.client else None


async def _body(request: Request) -> str:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            raise HTTPException(413, f"expected a form of at most {LARGEST_BODY} bytes")
    return body.decode()


def _asked(connection: HTTPConnection) -> Asked:
    path = connection.scope.get("raw_path") or connection.scope["path"].encode()
    query = connection.scope["query_string"]
    target = (path.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")
    return Asked(scheme=connection.scope["scheme"], target=target, headers=connection.headers)
