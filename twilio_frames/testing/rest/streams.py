"""``/Streams``: one-way streams, begun and stopped.

Two-way streams cannot be had here, nor stopped.

Source: https://www.twilio.com/docs/voice/api/stream-resource
"""

from email.utils import formatdate

from aiohttp import web

from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.flow.forks import start_fork, stop_fork
from twilio_frames.testing.rest.answers import (
    Form,
    error,
    missing,
    not_in_progress,
    read_form,
)
from twilio_frames.testing.verbs import StartStream


class StreamsResource:
    """The one-way streams of the account's calls.

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
        call = self._switch.calls.get(request.match_info["call"])
        if call is None:
            return missing(request)
        if call.end is not None or not call.is_answered:
            return not_in_progress()
        form = await read_form(request)
        if not form.one("Url"):
            return error(400, 21205, "Url parameter is required.")
        fork = start_fork(call, _verb(form))
        if fork is None:
            return error(400, 20001, "The call has as many streams as it may have.")
        return web.json_response(_resource(call, fork.sid, fork.name, "in-progress"), status=201)

    async def _update(self, request: web.Request) -> web.Response:
        call = self._switch.calls.get(request.match_info["call"])
        form = await read_form(request)
        if form.one("Status") != "stopped":
            return error(400, 20001, "Status must be stopped.")
        name = request.match_info["sid"]
        found = call and next((f for f in call.forks if name in (f.sid, f.name)), None)
        if call is None or found is None or not stop_fork(call, name):
            return missing(request)
        return web.json_response(_resource(call, found.sid, found.name, "stopped"))


def _verb(form: Form) -> StartStream:
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


def _resource(call: SimulatedCall, sid: str, name: str, status: str) -> dict[str, object]:
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
