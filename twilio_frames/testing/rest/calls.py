"""``/Calls``: made, asked for, listed, changed.

Source: https://www.twilio.com/docs/voice/api/call-resource
"""

from email.utils import formatdate

from aiohttp import web

from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.facts import CallEnd, CallStatus, Numbers
from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.rest.answers import (
    Form,
    error,
    missing,
    not_in_progress,
    page,
    read_form,
)
from twilio_frames.testing.rest.dialer import Dialer, PlacedCall
from twilio_frames.testing.rest.placing import (
    answered,
    instructions_of,
    recording_request,
    refusal_of,
    ring_seconds,
    status_callback,
)


class CallsResource:
    """The account's calls.

    Args:
        switch: Holds them.
        dialer: Begins new ones.
    """

    def __init__(self, switch: Switch, dialer: Dialer):
        self._switch = switch
        self._dialer = dialer

    def add_to(self, router: web.UrlDispatcher, account: str) -> None:
        """Adds its routes."""
        router.add_post(f"{account}/Calls.json", self._create)
        router.add_get(f"{account}/Calls.json", self._list)
        router.add_get(f"{account}/Calls/{{sid}}.json", self._fetch)
        router.add_post(f"{account}/Calls/{{sid}}.json", self._update)

    async def _create(self, request: web.Request) -> web.Response:
        form = await read_form(request)
        instructions = instructions_of(form)
        refusal = refusal_of(form, instructions, self._switch)
        if refusal is not None or instructions is None:
            return refusal or missing(request)
        rules, draw = self._switch.exchange.rules, self._switch.exchange.random.random
        if rules.requests_lost and draw() < rules.requests_lost:
            return _broken()
        call = self._new_call(form)
        answer = web.json_response(resource_of(call), status=201)
        self._dialer.place(
            PlacedCall(
                call=call,
                instructions=answered(form, instructions),
                ring_seconds=ring_seconds(form),
            )
        )
        if rules.answers_lost and draw() < rules.answers_lost:
            return _broken()
        return answer

    def _new_call(self, form: Form) -> SimulatedCall:
        numbers = Numbers(
            from_number=form.one("From"), to_number=form.one("To"), direction="outbound-api"
        )
        call = self._switch.new_call(numbers, callback=status_callback(form))
        if form.one("TimeLimit").isdecimal():
            call.time_limit = float(form.number("TimeLimit", 0))
        if form.flag("Record"):
            request = recording_request(
                form, source="OutboundAPI", channels="mono", trim="trim-silence"
            )
            call.on_answered = lambda: self._switch.record(call, request)
        return call

    async def _list(self, request: web.Request) -> web.Response:
        wanted = request.query
        calls = [
            resource_of(call)
            for call in reversed(self._switch.calls.values())
            if wanted.get("To") in (None, call.numbers.to_number)
            and wanted.get("From") in (None, call.numbers.from_number)
            and wanted.get("Status") in (None, call.status.value)
            and wanted.get("ParentCallSid") in (None, call.parent_sid)
        ]
        return page(request, "calls", calls)

    async def _fetch(self, request: web.Request) -> web.Response:
        call = self._switch.calls.get(request.match_info["sid"])
        return missing(request) if call is None else web.json_response(resource_of(call))

    async def _update(self, request: web.Request) -> web.Response:
        call = self._switch.calls.get(request.match_info["sid"])
        if call is None:
            return missing(request)
        form = await read_form(request)
        if call.end is not None:
            return not_in_progress()
        if form.one("Status"):
            return self._end(call, form.one("Status"))
        limit, instructions = form.one("TimeLimit"), instructions_of(form)
        if (instructions is None and not limit) or (form.one("Url") and form.one("Twiml")):
            return error(400, 20001, "Either Url or Twiml is required, and not both.")
        if not call.is_answered:
            return not_in_progress()
        if limit.isdecimal():
            call.limit(float(form.number("TimeLimit", 0)))
        if form.one("StatusCallback"):
            call.callback = status_callback(form)
        if instructions is not None:
            call.order(instructions)
        return web.json_response(resource_of(call))

    def _end(self, call: SimulatedCall, status: str) -> web.Response:
        if status not in (CallStatus.COMPLETED.value, CallStatus.CANCELED.value):
            return error(400, 20001, "Status must be completed or canceled.")
        if not call.is_answered and self._dialer.cancel(call):
            return web.json_response(resource_of(call))
        if status == CallStatus.CANCELED.value:
            return error(400, 21220, "Call is in-progress. Cannot be canceled.")
        call.order(CallEnd.BOT_HUNG_UP)
        return web.json_response(resource_of(call) | {"status": status})


def _broken() -> web.Response:
    return error(500, 20500, "An internal server error has occurred")


def resource_of(call: SimulatedCall) -> dict[str, object]:
    """The call as Twilio's JSON describes it."""
    account = call.exchange.account_sid
    path = f"/2010-04-01/Accounts/{account}/Calls/{call.sid}"
    return {
        "sid": call.sid,
        "account_sid": account,
        "api_version": "2010-04-01",
        "to": call.numbers.to_number,
        "to_formatted": call.numbers.to_number,
        "from": call.numbers.from_number,
        "from_formatted": call.numbers.from_number,
        "phone_number_sid": None,
        "status": call.status.value,
        "direction": call.numbers.direction,
        "date_created": formatdate(call.created_at),
        "date_updated": formatdate(),
        "start_time": _date(call.answered_at),
        "end_time": _date(call.ended_at),
        "duration": str(round(call.seconds)) if call.end is not None else None,
        "answered_by": call.answered_by,
        "parent_call_sid": call.parent_sid or None,
        "group_sid": None,
        "forwarded_from": None,
        "caller_name": None,
        "annotation": None,
        "trunk_sid": None,
        "price": None,
        "price_unit": "USD",
        "queue_time": str(round(1000 * call.queue_seconds)),
        "uri": f"{path}.json",
        "subresource_uris": {
            "recordings": f"{path}/Recordings.json",
            "streams": f"{path}/Streams.json",
        },
    }


def _date(time: float | None) -> str | None:
    return None if time is None else formatdate(time)
