"""``/Calls``, made, asked for, listed and changed; their ``/Streams`` and ``/Recordings``.

Source: https://www.twilio.com/docs/voice/api/call-resource
"""

from email.utils import formatdate

from aiohttp import web

from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.call_recording import CallRecording, RecordingStatus
from twilio_frames.testing.calls.facts import CallEnd, CallStatus, Numbers
from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.flow.forks import start_fork, stop_fork
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
    ring_secs,
    status_callback,
)
from twilio_frames.testing.verbs import StartStream

_CURRENT = "Twilio.CURRENT"


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
        placed = await self.place(await read_form(request))
        if isinstance(placed, web.Response):
            return placed
        answer = web.json_response(_resource_of(placed), status=201)
        return _broken() if _loses_answer(self._switch) else answer

    async def place(self, form: Form) -> SimulatedCall | web.Response:
        """Makes the call that a form asks for, or says why not."""
        instructions = instructions_of(form)
        refusal = refusal_of(form, instructions, self._switch)
        if refusal is not None or instructions is None:
            return refusal or error(400, 21205, "Url parameter is required.")
        rules, draw = self._switch.exchange.rules, self._switch.exchange.random.random
        if rules.requests_lost and draw() < rules.requests_lost:
            return _broken()
        call = self._new_call(form)
        self._dialer.place(
            PlacedCall(
                call=call,
                instructions=answered(form, instructions),
                ring_secs=ring_secs(form),
            )
        )
        return call

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
            _resource_of(call)
            for call in reversed(self._switch.calls.values())
            if wanted.get("To") in (None, call.numbers.to_number)
            and wanted.get("From") in (None, call.numbers.from_number)
            and wanted.get("Status") in (None, call.status.value)
            and wanted.get("ParentCallSid") in (None, call.parent_sid)
        ]
        return page(request, "calls", calls)

    async def _fetch(self, request: web.Request) -> web.Response:
        call = self._switch.calls.get(request.match_info["sid"])
        return missing(request) if call is None else web.json_response(_resource_of(call))

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
        if _loses_answer(self._switch):
            return _broken()
        return web.json_response(_resource_of(call))

    def _end(self, call: SimulatedCall, status: str) -> web.Response:
        if status not in (CallStatus.COMPLETED.value, CallStatus.CANCELED.value):
            return error(400, 20001, "Status must be completed or canceled.")
        if not call.is_answered and self._dialer.cancel(call):
            return web.json_response(_resource_of(call))
        if status == CallStatus.CANCELED.value:
            return error(400, 21220, "Call is in-progress. Cannot be canceled.")
        call.order(CallEnd.BOT_HUNG_UP)
        return web.json_response(_resource_of(call) | {"status": status})


def _loses_answer(switch: Switch) -> bool:
    share = switch.exchange.rules.answers_lost
    return bool(share) and switch.exchange.random.random() < share


def _broken() -> web.Response:
    return error(500, 20500, "An internal server error has occurred")


def _resource_of(call: SimulatedCall) -> dict[str, object]:
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
        "queue_time": str(round(1000 * call.queue_secs)),
        "uri": f"{path}.json",
        "subresource_uris": {
            "recordings": f"{path}/Recordings.json",
            "streams": f"{path}/Streams.json",
        },
    }


def _date(time: float | None) -> str | None:
    return None if time is None else formatdate(time)


class StreamsResource:
    """The one-way streams of the account's calls, begun and stopped.

    Two-way streams cannot be had here, nor stopped.
    Source: https://www.twilio.com/docs/voice/api/stream-resource

    Args:
        switch: Holds the calls.
    """

    def __init__(self, switch: Switch):
        self._switch = switch

    def add_to(self, router: web.UrlDispatcher, account: str) -> None:
        """Adds its routes."""
        router.add_post(f"{account}/Calls/{{call}}/Streams.json", self._create)
        router.add_post(f"{account}/Calls/{{call}}/Streams/{{sid}}.json", self._update)

    async def _create(self, request: web.Request) -> web.Response:
        call = _live_call(self._switch, request)
        if isinstance(call, web.Response):
            return call
        form = await read_form(request)
        if not form.one("Url"):
            return error(400, 21205, "Url parameter is required.")
        fork = start_fork(call, _stream_verb(form))
        if fork is None:
            return error(400, 20001, "The call has as many streams as it may have.")
        return web.json_response(
            _stream_resource(call, fork.sid, fork.name, "in-progress"), status=201
        )

    async def _update(self, request: web.Request) -> web.Response:
        call = self._switch.calls.get(request.match_info["call"])
        form = await read_form(request)
        if form.one("Status") != "stopped":
            return error(400, 20001, "Status must be stopped.")
        name = request.match_info["sid"]
        found = call and next((f for f in call.forks if name in (f.sid, f.name)), None)
        if call is None or found is None or not stop_fork(call, name):
            return missing(request)
        return web.json_response(_stream_resource(call, found.sid, found.name, "stopped"))


def _stream_verb(form: Form) -> StartStream:
    names = (form.one(f"Parameter{number}.Name") for number in range(1, 100))
    return StartStream(
        url=form.one("Url"),
        name=form.one("Name"),
        track=form.one("Track", "inbound_track"),
        status_callback=form.one("StatusCallback"),
        status_callback_method=form.method("StatusCallbackMethod"),
        parameters={
            name: form.one(f"Parameter{number}.Value")
            for number, name in enumerate(names, start=1)
            if name
        },
    )


def _stream_resource(call: SimulatedCall, sid: str, name: str, status: str) -> dict[str, object]:
    account = call.exchange.account_sid
    return {
        "sid": sid,
        "account_sid": account,
        "call_sid": call.sid,
        "name": name,
        "status": status,
        "date_updated": formatdate(),
        "uri": f"/2010-04-01/Accounts/{account}/Calls/{call.sid}/Streams/{sid}.json",
    }


def _live_call(switch: Switch, request: web.Request) -> SimulatedCall | web.Response:
    """The call that a request names, or why nothing can be done with it."""
    call = switch.calls.get(request.match_info["call"])
    if call is None:
        return missing(request)
    return not_in_progress() if call.end is not None or not call.is_answered else call


class RecordingsResource:
    """The account's recordings.

    Source: https://www.twilio.com/docs/voice/api/recording

    Args:
        switch: Holds them.
    """

    def __init__(self, switch: Switch):
        self._switch = switch

    def add_to(self, router: web.UrlDispatcher, account: str) -> None:
        """Adds its routes."""
        of_call = f"{account}/Calls/{{call}}/Recordings"
        router.add_post(f"{of_call}.json", self._create)
        router.add_post(f"{of_call}/{{sid}}.json", self._update)
        for path in (of_call, f"{account}/Recordings"):
            router.add_get(f"{path}.json", self._list)
            router.add_get(f"{path}/{{sid}}.json", self._fetch)
            router.add_delete(f"{path}/{{sid}}.json", self._delete)
        router.add_get(f"{account}/Recordings/{{sid}}.wav", self._media)
        router.add_get(f"{account}/Recordings/{{sid}}", self._media)

    async def _create(self, request: web.Request) -> web.Response:
        call = _live_call(self._switch, request)
        if isinstance(call, web.Response):
            return call
        form = await read_form(request)
        wanted = recording_request(
            form, source="StartCallRecordingAPI", channels="mono", trim="do-not-trim"
        )
        begun = self._switch.record(call, wanted)
        if _loses_answer(self._switch):
            return _broken()
        return web.json_response(begun.resource(), status=201)

    async def _list(self, request: web.Request) -> web.Response:
        wanted = request.match_info.get("call") or request.query.get("CallSid")
        recordings = [
            recording.resource()
            for recording in reversed(self._switch.recordings.values())
            if wanted in (None, recording.call_sid)
        ]
        return page(request, "recordings", recordings)

    async def _fetch(self, request: web.Request) -> web.Response:
        recording = self._named(request)
        return missing(request) if recording is None else web.json_response(recording.resource())

    async def _update(self, request: web.Request) -> web.Response:
        recording = self._named(request)
        if recording is None:
            return missing(request)
        if not recording.is_live:
            return not_in_progress()
        form = await read_form(request)
        match form.one("Status"):
            case RecordingStatus.PAUSED.value:
                recording.pause(is_silent=form.one("PauseBehavior") != "skip")
            case RecordingStatus.IN_PROGRESS.value:
                recording.go_on()
            case RecordingStatus.STOPPED.value:
                recording.finish()
                stopped = {"status": RecordingStatus.STOPPED.value}
                return web.json_response(recording.resource() | stopped)
            case _:
                return error(400, 20001, "Status must be in-progress, paused or stopped.")
        return web.json_response(recording.resource())

    async def _delete(self, request: web.Request) -> web.Response:
        recording = self._named(request)
        if recording is None:
            return missing(request)
        if recording.is_live:
            return error(400, 21220, "Recording is in-progress. Cannot be deleted.")
        del self._switch.recordings[recording.sid]
        return web.Response(status=204)

    async def _media(self, request: web.Request) -> web.Response:
        recording = self._switch.recordings.get(request.match_info["sid"])
        if recording is None or recording.is_live:
            return missing(request)
        return web.Response(body=recording.wav(), content_type="audio/x-wav")

    def _named(self, request: web.Request) -> CallRecording | None:
        sid, call_sid = request.match_info["sid"], request.match_info.get("call")
        if sid == _CURRENT and call_sid in self._switch.calls:
            live = [
                item
                for item in self._switch.recordings.values()
                if item.call_sid == call_sid and item.is_live
            ]
            return live[-1] if live else None
        recording = self._switch.recordings.get(sid)
        if recording is None or call_sid not in (None, recording.call_sid):
            return None
        return recording
