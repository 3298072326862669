"""OpenAI's chat completions on this machine, with scripted replies and bad days.

What goes over the wire: https://platform.openai.com/docs/api-reference/chat
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from twilio_frames.testing.vendors.faults import Drop, EarlyEnd, Fault, Garbage, Hang, Refusal, Slow
from twilio_frames.testing.vendors.function_call import FunctionCall
from twilio_frames.testing.vendors.openai.replies import (
    MODEL_SNAPSHOT,
    Answer,
    Message,
    Reply,
    parts_of,
    tokens,
)
from twilio_frames.testing.vendors.openai.requests import (
    BadChatRequestError,
    check_request,
    error_body,
)
from twilio_frames.testing.vendors.server import VISIT, VendorServer, break_off

__all__ = ["NOTHING_LEFT", "ChatRequest", "FunctionCall", "OpenAIServer", "Reply"]

NOTHING_LEFT = "I have nothing more to say."
"""What is said when the replies are used up."""

_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_CHAT = "/v1/chat/completions"
_LOOK_SECS = 0.01
_GARBAGE = b'data: {"id":"chatcmpl-\x1f,\n\n'

_REFUSALS: Mapping[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


@dataclass(slots=True, kw_only=True)
class ChatRequest:
    """One request for a chat completion that was understood, and what became of it.

    Parameters:
        at: When it came, seconds of ``time.monotonic()``.
        body: The request.
        said: The text that has been sent so far.
        chunks: How many chunks have been sent.
        finished_at: When all had been sent; None before, and if that never came about.
        broken_off_at: When the client broke it off; None if it did not.
    """

    at: float
    body: dict[str, Any] = field(repr=False)
    said: str = field(default="", repr=False)
    chunks: int = 0
    finished_at: float | None = None
    broken_off_at: float | None = None

    @property
    def messages(self) -> list[Message]:
        """The conversation that was sent."""
        return self.body["messages"]

    @property
    def words(self) -> str:
        """What the caller said last; empty if nothing."""
        said = [message["content"] for message in self.messages if message["role"] == "user"]
        return str(said[-1]) if said else ""


class OpenAIServer(VendorServer):
    """Answers chat requests as OpenAI does, streamed or whole, with what it was told to say.

    Point a client at ``base_url``. A request that OpenAI would refuse is refused in the same way:
    an unknown parameter, a message without content, a tool's answer to no call, a call without an
    answer, a model that is not there. Faults befall chat requests only; their ``after`` counts
    chunks of a stream, the first of which holds no text, and at 0 the headers are not sent either.

    Args:
        replies: What is said, request by request: a text, a :class:`FunctionCall`, a list of them
            for one answer, or a function that gets the messages and gives one of these. When they
            are used up, :data:`NOTHING_LEFT`.
        first_token_secs: How long each answer takes to begin.
        token_seconds: How long each piece of it takes.
        models: Which models there are; None for any.
        keys: Which keys are taken; None for any, and for none.
        faults: What goes wrong, request by request.
    """

    def __init__(
        self,
        replies: Iterable[Reply] = (),
        *,
        first_token_secs: float = 0.0,
        token_seconds: float = 0.0,
        models: Collection[str] | None = None,
        keys: Collection[str] | None = None,
        faults: Iterable[Fault | None] = (),
    ):
        super().__init__(faults=faults)
        self._replies: Iterator[Reply] = iter(replies)
        self._models = models
        self._keys = keys
        self.first_token_secs = first_token_secs
        """May be changed at any time."""
        self.token_seconds = token_seconds
        """May be changed at any time."""
        self.asked: list[ChatRequest] = []
        """The chat requests that were understood, in order; those refused by a fault are not."""

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its ``base_url``."""
        return f"{self.url}/v1"

    def routes(self) -> list[web.RouteDef]:
        """Chat completions, and the list of models."""
        return [
            web.post(_CHAT, self._chat),
            web.get("/v1/models", self._list_models),
            web.get("/v1/models/{model}", self._show_model),
        ]

    def can_go_wrong(self, request: web.Request) -> bool:
        """Only chat requests do."""
        return request.path == _CHAT

    def say(self, *replies: Reply) -> None:
        """Has these said next, in the place of what was to come."""
        self._replies = iter(replies)

    async def was_asked(self, times: int = 1) -> ChatRequest:
        """Waits until so many requests have come; gives the last of them."""
        await self.until(lambda: len(self.asked) >= times)
        return self.asked[times - 1]

    async def was_broken_off(self, times: int = 1) -> ChatRequest:
        """Waits until clients have broken off so many answers; gives the last of them."""

        def broken() -> list[ChatRequest]:
            return [one for one in self.asked if one.broken_off_at is not None]

        await self.until(lambda: len(broken()) >= times)
        return broken()[times - 1]

    async def has_said(self, request: ChatRequest, text: str) -> None:
        """Waits until a text has been sent as part of the answer to a request."""
        await self.until(lambda: text in request.said)

    def refuse(self, refusal: Refusal) -> web.Response:
        """OpenAI's errors, with the headers that tell how much may be asked."""
        kind, code = _REFUSALS.get(refusal.status, ("server_error", None))
        headers = {"x-request-id": f"req_{uuid.uuid4().hex}"}
        if refusal.status == 429:
            headers |= {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": f"{refusal.retry_after or 1:g}s",
            }
        if refusal.retry_after is not None:
            headers["retry-after"] = f"{refusal.retry_after:g}"
            headers["retry-after-ms"] = f"{refusal.retry_after * 1000:.0f}"
        body = error_body(f"Refused with {refusal.status}.", kind, code=code)
        return web.json_response(body, status=refusal.status, headers=headers)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refuse_key(request):
            return refusal
        try:
            asked = ChatRequest(at=time.monotonic(), body=await _body_of(request))
            check_request(asked.body)
            self._check_model(asked.body["model"])
        except BadChatRequestError as error:
            body = error_body(
                str(error), "invalid_request_error", param=error.param, code=error.code
            )
            status = 404 if error.code == "model_not_found" else 400
            return web.json_response(body, status=status)
        self.asked.append(asked)
        await self.note_change()
        try:
            return await self._answer(request, asked)
        except _DroppedError:
            return web.Response()
        except ConnectionResetError:
            asked.broken_off_at = time.monotonic()
            await self.note_change()
            return web.Response()

    async def _answer(self, request: web.Request, asked: ChatRequest) -> web.StreamResponse:
        answer = self._next_answer(asked)
        fault = request[VISIT].fault
        late = fault.seconds if isinstance(fault, Slow) else 0.0
        await _wait(request, self.first_token_secs + late)
        if not asked.body.get("stream"):
            await self._spoil(request, fault, 0)
            await _wait(request, self.token_seconds * len(tokens(answer.text)))
            asked.said = answer.text
            asked.finished_at = time.monotonic()
            await self.note_change()
            return web.json_response(answer.whole())
        return await self._stream(request, asked, answer)

    def _next_answer(self, asked: ChatRequest) -> Answer:
        reply = next(self._replies, NOTHING_LEFT)
        model = asked.body["model"]
        return Answer(
            id=f"chatcmpl-{uuid.uuid4().hex}",
            created=int(time.time()),
            model=model if _DATED.search(model) else model + MODEL_SNAPSHOT,
            parts=parts_of(reply, asked.messages),
            prompt_tokens=len(tokens(json.dumps(asked.messages))),
        )

    async def _stream(
        self, request: web.Request, asked: ChatRequest, answer: Answer
    ) -> web.StreamResponse:
        options = asked.body.get("stream_options") or {}
        fault = request[VISIT].fault
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        for chunk in answer.chunks(with_usage=bool(options.get("include_usage"))):
            if isinstance(fault, EarlyEnd) and fault.after == asked.chunks:
                await _prepare(request, response)
                return response
            if await self._spoil(request, fault, asked.chunks):
                await _prepare(request, response)
                await response.write(_GARBAGE)
            if asked.chunks > 1:
                await _wait(request, self.token_seconds)
            await _prepare(request, response)
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
            _mark_sent(asked, chunk)
            await self.note_change()
        await response.write(b"data: [DONE]\n\n")
        asked.finished_at = time.monotonic()
        await self.note_change()
        return response

    async def _spoil(self, request: web.Request, fault: Fault | None, sent: int) -> bool:
        """Carries out a fault that is due; tells whether garbage is."""
        match fault:
            case Drop(after=after) if after == sent:
                # What has been written is to arrive before the break.
                await asyncio.sleep(_LOOK_SECS)
                break_off(request)
                raise _DroppedError
            case Hang(after=after) if after == sent:
                await _wait(request, 3600.0)
            case Garbage(after=after) if after == sent:
                return True
            case _:
                pass
        return False

    def _refuse_key(self, request: web.Request) -> web.Response | None:
        if self._keys is None or request[VISIT].key in self._keys:
            return None
        return self.refuse(Refusal(status=401))

    def _check_model(self, model: str) -> None:
        if self._models is not None and model not in self._models:
            raise BadChatRequestError("No such model.", "model", "model_not_found")

    async def _list_models(self, request: web.Request) -> web.Response:
        names: Sequence[str] = sorted(self._models or ("gpt-4.1",))
        return self._refuse_key(request) or web.json_response(
            {"object": "list", "data": [_model(name) for name in names]}
        )

    async def _show_model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        if refusal := self._refuse_key(request):
            return refusal
        if self._models is not None and name not in self._models:
            return self.refuse(Refusal(status=404))
        return web.json_response(_model(name))


class _DroppedError(Exception):
    """The connection has been broken from this side."""


def _mark_sent(asked: ChatRequest, chunk: dict[str, Any]) -> None:
    asked.chunks += 1
    for choice in chunk["choices"]:
        asked.said += choice["delta"].get("content") or ""


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1744316542, "owned_by": "system"}


async def _body_of(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise BadChatRequestError("The body of the request is no JSON object.")
    return body


async def _prepare(request: web.Request, response: web.StreamResponse) -> None:
    if not response.prepared:
        await response.prepare(request)


async def _wait(request: web.Request, seconds: float) -> None:
    """Waits, and looks whether the client is still there."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError("the client broke off the request")
        if (left := end - loop.time()) <= 0:
            return
        await asyncio.sleep(min(left, _LOOK_SECS))
