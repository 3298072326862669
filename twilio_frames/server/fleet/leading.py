"""Leads what Twilio asks to the worker that it is for."""

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from twilio_frames.fleet.choice import by_choice
from twilio_frames.fleet.register import Lease, Standing
from twilio_frames.frames import CallEndReason
from twilio_frames.server.fleet.handover import hand_over
from twilio_frames.server.fleet.joining import own_lease
from twilio_frames.server.fleet.passing import (
    FULL,
    OWNER,
    callback_key,
    is_passed_on,
    named_worker,
)
from twilio_frames.server.incoming import Form, read_signed_form
from twilio_frames.server.state import IS_DOOR, STATE, ServerState

__all__ = [
    "Note",
    "asked_of_owner",
    "other_workers",
    "owner_elsewhere",
    "streams_ended",
    "taken_elsewhere",
    "taken_over",
]

_MOST_TRIES = 3
"""Workers that are asked to take a call before this one does, or turns it away."""
_STREAM_ENDS = frozenset({"stream-error", "stream-stopped"})
_TELL = frozenset({"amd", "recording", "status"})
"""Callbacks that are for a call's next owner where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A callback that waits for a call's next owner.

    Parameters:
        name: Its path's last name.
        form: What it says.
        key: The same each time that it is told.
    """

    name: str
    form: Form
    key: str

    def encoded(self) -> bytes:
        """As a register keeps it."""
        return json.dumps([self.name, self.form, self.key]).encode()

    @classmethod
    def decoded(cls, text: bytes) -> "Note":
        """What :meth:`encoded` made."""
        name, form, key = json.loads(text)
        return cls(name=name, form=[(name, value) for name, value in form], key=key)


def streams_ended(notes: Sequence[bytes]) -> dict[str, float]:
    """When a call's streams ended by Twilio's clock, seconds since 1970, as its callbacks told.

    Args:
        notes: What came while the call had no owner.
    """
    ended = dict[str, float]()
    for note in notes:
        # Another version's note, or another time's, tells nothing.
        with contextlib.suppress(ValueError):
            told = dict(Note.decoded(note).form)
            if told.get("StreamEvent") in _STREAM_ENDS:
                at = datetime.fromisoformat(told.get("Timestamp", "")).timestamp()
                ended[told.get("StreamSid", "")] = at
    return ended


async def asked_of_owner(request: web.Request) -> web.StreamResponse | None:
    """What a call's owner answers to a webhook; None if this worker is to carry it out."""
    state = request.app[STATE]
    if state.fleet.is_alone:
        return None
    form = await read_signed_form(request)
    call_sid = request.query.get("call") or dict(form).get("CallSid", "")
    if _is_here(state, call_sid) or not call_sid:
        return None
    standing = await state.fleet.standing(call_sid, named_worker(request))
    if (answer := await _passed_on(request, standing)) is not None:
        return answer
    is_begun = standing is None or standing.has_begun
    if is_passed_on(request, OWNER) and not is_begun and state.records.get(call_sid) is None:
        # The register took it for this worker, which had given up waiting for that.
        return web.Response(status=503, headers={FULL: "1"})
    name = request.path.rstrip("/").rpartition("/")[2]
    if name not in _TELL or standing is None or not _may_have_another(standing):
        return None
    note = Note(name=name, form=form, key=callback_key(request, form))
    await state.fleet.note(call_sid, note.key, note.encoded())
    # Whoever has taken the call meanwhile has taken what was noted until then.
    now = await state.fleet.standing(call_sid)
    if now is None or now.fence == standing.fence or _is_here(state, call_sid):
        return None
    return await _passed_on(request, now)


def _is_here(state: ServerState, call_sid: str) -> bool:
    record = state.records.get(call_sid)
    return record is not None and record.call is not None


def _may_have_another(standing: Standing) -> bool:
    is_hung_up = standing.ended == CallEndReason.CALLER_HUNG_UP
    return not is_hung_up and (standing.has_snapshot or not standing.ended)


async def _passed_on(request: web.Request, standing: Standing | None) -> web.StreamResponse | None:
    """What the owner of a call answers, or whoever is named; None if that is nobody else."""
    if is_passed_on(request):
        return None
    state = request.app[STATE]
    owner = standing.owner if standing is not None else ""
    for name in dict.fromkeys((owner, named_worker(request))):
        if name == state.fleet.name:
            return None
        lease = state.fleet.find(name)
        answer = await state.workers.pass_on(request, lease) if lease is not None else None
        if answer is not None and FULL not in answer.headers:
            return answer
    return None


async def owner_elsewhere(request: web.Request, call_sid: str) -> Lease | None:
    """The worker that has a call which this one knows nothing of."""
    state = request.app[STATE]
    if state.fleet.is_alone or is_passed_on(request) or state.records.get(call_sid) is not None:
        return None
    standing = await state.fleet.standing(call_sid)
    return state.fleet.find(standing.owner) if standing is not None else None


async def taken_over(request: web.Request) -> bool:
    """Whether a stream went to the worker of this machine that its path names.

    Whatever serves the application may close its connections before its calls have ended, as
    gunicorn does: then its own streams go to its door as well, which stays.
    """
    state = request.app[STATE]
    owner = state.fleet.find(named_worker(request))
    path = owner.handover if owner is not None else ""
    if not path and not request.app[IS_DOOR] and not state.is_served_here:
        path = state.fleet.handover
    return await hand_over(request, path)


async def taken_elsewhere(request: web.Request, call_sid: str) -> web.Response | None:
    """What another worker answers that takes a new call; None if it is this one's."""
    state = request.app[STATE]
    if state.fleet.is_alone or is_passed_on(request):
        return None
    # A call that was placed has its line where that was.
    named = named_worker(request)
    placed = state.fleet.find(named)
    if placed is not None and not placed.is_draining:
        answer = await state.workers.pass_on(request, placed)
        if answer is not None and FULL not in answer.headers:
            return answer
    record = state.records.get(call_sid)
    if named == state.fleet.name or (record is not None and record.call is not None):
        return None
    async for lease in other_workers(state):
        answer = await state.workers.pass_on(request, lease, "choice")
        if answer is not None and FULL not in answer.headers:
            return answer
    return None


async def other_workers(state: ServerState) -> AsyncIterator[Lease]:
    """The workers that are to be asked to take a call, ahead of this one.

    Each is chosen as they are by then: while one is asked in vain, others come, and this one may
    begin to drain.
    """
    fleet, tried = state.fleet, set[str]()
    while len(tried) < _MOST_TRIES:
        leases = [await own_lease(state, fleet.lag_secs), *fleet.others]
        left = [lease for lease in leases if lease.name not in tried]
        lease = next(by_choice(left, most_lag_secs=fleet.settings.most_lag_secs), None)
        if lease is None:
            return
        fleet.gave_call_to(lease.name)
        if lease.name == fleet.name:
            return
        tried.add(lease.name)
        yield lease
