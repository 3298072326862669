"""What a console is told of a server and of its fleet: what has changed since it asked last."""

import asyncio
import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from twilio_frames.processors.fallback.vendor_health import VENDORS
from twilio_frames.server.calls.records import StreamPhase
from twilio_frames.server.dialing.placing import check_key
from twilio_frames.server.fleet.passing import is_passed_on
from twilio_frames.server.state import STATE, ServerState

__all__ = ["answers_elsewhere", "call_list", "news", "read_json"]

_SEEN = re.compile(r"([A-Za-z0-9._-]{1,80}):([0-9]{1,15})")


async def news(request: web.Request) -> web.Response:
    """``GET /console/news?since=...``: the calls that are new or have changed, and how all goes.

    ``since`` is what the last answer's ``since`` was; without it, all calls are told.
    """
    check_key(request, {})
    own = _own(request.app[STATE], dict(_SEEN.findall(request.query.get("since", ""))))
    return web.json_response(_together([own, *map(read_json, await answers_elsewhere(request))]))


async def call_list(request: web.Request) -> web.Response:
    """``GET /calls``: the calls that this server and its fleet remember, the newest first."""
    check_key(request, {})
    own = [dict(record.as_json()) for record in request.app[STATE].records.latest()]
    told = [{"calls": own}, *map(read_json, await answers_elsewhere(request))]
    calls: dict[str, dict[str, Any]] = {}
    for call in _all(told, "calls"):
        # One that a worker has taken over stands in both; that counts which has it.
        if call["call_sid"] not in calls or call["stream"] == StreamPhase.UP:
            calls[call["call_sid"]] = call
    newest = sorted(calls.values(), key=lambda call: -call["began_at"])
    return web.json_response({"calls": newest})


def _own(state: ServerState, seen: Mapping[str, str]) -> dict[str, Any]:
    name = state.fleet.name
    changed, revision = state.records.changes(int(seen.get(name, 0)), time.time())
    return {
        "since": f"{name}:{revision}",
        "workers": {
            name: {
                "up": len(state.switchboard),
                "most": state.settings.max_calls,
                "draining": state.switchboard.draining,
            }
        },
        "calls": [{**call, "worker": name} for call in changed],
        "vendors": VENDORS.as_json(),
        "campaigns": [{"name": name, **told} for name, told in state.campaigns.items()],
        "now": round(time.time(), 3),
    }


def _together(told: list[dict[str, Any]]) -> dict[str, Any]:
    """One answer of what the workers told; of a vendor, what it is worst for."""
    vendors: dict[tuple[Any, Any], Any] = {}
    for vendor in _all(told, "vendors"):
        place = (vendor["role"], vendor["vendor"])
        if place not in vendors or vendor["state"] != "well":
            vendors[place] = vendor
    return {
        "since": " ".join(one["since"] for one in told),
        "workers": {name: how for one in told for name, how in one["workers"].items()},
        "calls": list(_all(told, "calls")),
        "vendors": list(vendors.values()),
        "campaigns": list(_all(told, "campaigns")),
        "now": told[0]["now"],
    }


def _all(told: Iterable[Mapping[str, Any]], name: str) -> Iterable[Any]:
    return (each for one in told for each in one[name])


async def answers_elsewhere(request: web.Request) -> list[web.Response]:
    """What the fleet's other workers answer to the same request; none where it is passed on."""
    state = request.app[STATE]
    if state.fleet.is_alone or is_passed_on(request):
        return []
    answers = await asyncio.gather(
        *(state.workers.pass_on(request, lease) for lease in state.fleet.others)
    )
    return [one for one in answers if one is not None and one.status == 200]


def read_json(answer: web.Response) -> Any:
    """What a worker's answer says."""
    return json.loads(answer.text or "{}")
