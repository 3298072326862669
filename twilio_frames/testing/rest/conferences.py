"""``/Conferences`` and their ``/Participants``: who meets, muted, put on hold, taken out, added.

Sources: https://www.twilio.com/docs/voice/api/conference-resource,
https://www.twilio.com/docs/voice/api/conference-participant-resource
"""

from collections.abc import Callable, Coroutine
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.calls.facts import CallEnd
from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.lines.rooms import Conference, Participant
from twilio_frames.testing.lines.waiting_sounds import hold_music
from twilio_frames.testing.rest.answers import Form, error, missing, page, read_form

Place = Callable[[Form], Coroutine[Any, Any, SimulatedCall | web.Response]]
"""Makes a call that a form asks for, or says why not."""


class ConferencesResource:
    """The account's conferences; those that are over are forgotten.

    Args:
        switch: Holds them.
        place: Calls who is to be added.
    """

    def __init__(self, switch: Switch, place: Place):
        self._switch = switch
        self._place = place

    def add_to(self, router: web.UrlDispatcher, account: str) -> None:
        """Adds its routes."""
        conference = f"{account}/Conferences/{{conference}}"
        participant = f"{conference}/Participants/{{call}}.json"
        router.add_get(f"{account}/Conferences.json", self._list)
        router.add_get(f"{conference}.json", self._fetch)
        router.add_post(f"{conference}.json", self._update)
        router.add_get(f"{conference}/Participants.json", self._participants)
        router.add_post(f"{conference}/Participants.json", self._add)
        router.add_get(participant, self._participant)
        router.add_post(participant, self._change)
        router.add_delete(participant, self._take_out)

    async def _list(self, request: web.Request) -> web.Response:
        wanted = request.query
        found = [
            self._resource(conference)
            for conference in self._switch.exchange.conferences.values()
            if wanted.get("FriendlyName") in (None, conference.name)
            and wanted.get("Status") in (None, _status(conference))
        ]
        return page(request, "conferences", found)

    async def _fetch(self, request: web.Request) -> web.Response:
        found = self._named(request)
        return missing(request) if found is None else web.json_response(self._resource(found))

    async def _update(self, request: web.Request) -> web.Response:
        conference = self._named(request)
        if conference is None:
            return missing(request)
        if (await read_form(request)).one("Status") != "completed":
            return error(400, 20001, "Status must be completed.")
        conference.close()
        return web.json_response(self._resource(conference) | {"status": "completed"})

    async def _participants(self, request: web.Request) -> web.Response:
        conference = self._named(request)
        if conference is None:
            return missing(request)
        sids = conference.participants
        found = [self._participant_resource(conference, sid, one) for sid, one in sids.items()]
        return page(request, "participants", found)

    async def _add(self, request: web.Request) -> web.Response:
        conference = self._named(request)
        # A name that nobody has used yet begins a conference.
        name = conference.name if conference else request.match_info["conference"]
        form = await read_form(request)
        twiml = f"<Response><Dial><Conference>{escape(name)}</Conference></Dial></Response>"
        placed = await self._place(form.adding("Twiml", twiml))
        if isinstance(placed, web.Response):
            return placed
        told = {"call_sid": placed.sid, "conference_sid": conference.sid if conference else None}
        return web.json_response(told | {"status": "queued"}, status=201)

    async def _participant(self, request: web.Request) -> web.Response:
        conference, found = self._member(request)
        if conference is None or found is None:
            return missing(request)
        sid = request.match_info["call"]
        return web.json_response(self._participant_resource(conference, sid, found))

    async def _change(self, request: web.Request) -> web.Response:
        conference, found = self._member(request)
        if conference is None or found is None:
            return missing(request)
        form, sid = await read_form(request), request.match_info["call"]
        if form.one("Muted"):
            found.seat.is_muted = form.flag("Muted")
        if form.one("Hold"):
            found.seat.is_on_hold = form.flag("Hold")
            heard = hold_music() if found.seat.is_on_hold else found.seat
            self._switch.calls[sid].line.listen_to(heard)
        return web.json_response(self._participant_resource(conference, sid, found))

    async def _take_out(self, request: web.Request) -> web.Response:
        _, found = self._member(request)
        if found is None:
            return missing(request)
        # "removes the participant": its call ends with it.
        self._switch.calls[request.match_info["call"]].order(CallEnd.BOT_HUNG_UP)
        return web.Response(status=204)

    def _named(self, request: web.Request) -> Conference | None:
        name = request.match_info["conference"]
        conferences = self._switch.exchange.conferences
        return next((one for one in conferences.values() if name in (one.sid, one.name)), None)

    def _member(self, request: web.Request) -> tuple[Conference | None, Participant | None]:
        conference = self._named(request)
        found = conference and conference.participants.get(request.match_info["call"])
        return conference, found

    def _resource(self, conference: Conference) -> dict[str, object]:
        account = self._switch.exchange.account_sid
        path = f"/2010-04-01/Accounts/{account}/Conferences/{conference.sid}"
        return {
            "sid": conference.sid,
            "account_sid": account,
            "api_version": "2010-04-01",
            "friendly_name": conference.name,
            "status": _status(conference),
            "region": "us1",
            "uri": f"{path}.json",
            "subresource_uris": {"participants": f"{path}/Participants.json"},
        }

    def _participant_resource(
        self, conference: Conference, call_sid: str, participant: Participant
    ) -> dict[str, object]:
        account = self._switch.exchange.account_sid
        path = f"/2010-04-01/Accounts/{account}/Conferences/{conference.sid}/Participants"
        return {
            "account_sid": account,
            "call_sid": call_sid,
            "conference_sid": conference.sid,
            "muted": participant.seat.is_muted,
            "hold": participant.seat.is_on_hold,
            "coaching": False,
            "call_sid_to_coach": None,
            "label": None,
            "start_conference_on_enter": participant.starts_on_enter,
            "end_conference_on_exit": participant.ends_on_exit,
            "status": "connected",
            "uri": f"{path}/{call_sid}.json",
        }


def _status(conference: Conference) -> str:
    return "in-progress" if conference.is_open else "init"
