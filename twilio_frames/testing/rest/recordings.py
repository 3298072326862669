"""``/Recordings``, of a call and of the account.

Source: https://www.twilio.com/docs/voice/api/recording
"""

from aiohttp import web

from twilio_frames.testing.calls.call_recording import CallRecording, RecordingStatus
from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.rest.answers import (
    error,
    missing,
    not_in_progress,
    page,
    read_form,
)
from twilio_frames.testing.rest.placing import recording_request

_CURRENT = "Twilio.CURRENT"


class RecordingsResource:
    """The account's recordings.

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
        call = self._switch.calls.get(request.match_info["call"])
        if call is None:
            return missing(request)
        if call.end is not None or not call.is_answered:
            return not_in_progress()
        form = await read_form(request)
        wanted = recording_request(
            form, source="StartCallRecordingAPI", channels="mono", trim="do-not-trim"
        )
        return web.json_response(self._switch.record(call, wanted).resource(), status=201)

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
