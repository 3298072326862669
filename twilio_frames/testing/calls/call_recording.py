"""Recordings that a bot asks Twilio for: ``<Start><Recording>``, ``<Dial record>``, REST.

Not to be taken for ``recording.py``, which keeps what the simulated caller heard. Source:
https://www.twilio.com/docs/voice/api/recording
"""

import io
import time
import wave
from email.utils import formatdate
from enum import Enum

import numpy as np

from twilio_frames.audio import MULAW_SILENCE, SAMPLE_RATE, decode_mulaw
from twilio_frames.testing.callers.voice import audible_samples
from twilio_frames.testing.calls.call import SimulatedCall
from twilio_frames.testing.verbs import StartRecording


class RecordingStatus(Enum):
    """Twilio's ``status`` of a recording."""

    IN_PROGRESS = "in-progress"
    PAUSED = "paused"
    STOPPED = "stopped"
    COMPLETED = "completed"
    ABSENT = "absent"
    """Nothing was recorded: the call was over, or silent and trimmed."""


class CallRecording:
    """One recording of one call; a tap on its line.

    Args:
        call: The call.
        request: What is to be recorded, and who is told.
    """

    def __init__(self, call: SimulatedCall, request: StartRecording):
        self._call = call
        self._request = request
        self._caller = bytearray()
        self._bot = bytearray()
        self._pauses_silently = False
        self.sid = call.exchange.new_sid("RE")
        self.call_sid = call.sid
        self.began_at = time.time()
        self.status = RecordingStatus.IN_PROGRESS
        self._tell("in-progress")

    @property
    def is_live(self) -> bool:
        """Whether it can still be paused or stopped."""
        return self.status in (RecordingStatus.IN_PROGRESS, RecordingStatus.PAUSED)

    @property
    def channels(self) -> int:
        """One, or two: the call's own side, and the other."""
        return 2 if self._request.channels == "dual" and self._request.track == "both" else 1

    @property
    def seconds(self) -> float:
        """Its length so far."""
        return len(self._caller) / SAMPLE_RATE

    def write(self, caller: bytes, bot: bytes) -> None:
        """Takes what both sides said in the same stretch of time, mu-law."""
        if self.status is RecordingStatus.IN_PROGRESS:
            self._caller += caller
            self._bot += bot
        elif self.status is RecordingStatus.PAUSED and self._pauses_silently:
            silence = bytes([MULAW_SILENCE]) * len(caller)
            self._caller += silence
            self._bot += silence

    def pause(self, *, is_silent: bool) -> None:
        """Records nothing for a while.

        Args:
            is_silent: Whether the pause is kept as silence (``silence``), or left out (``skip``).
        """
        self.status = RecordingStatus.PAUSED
        self._pauses_silently = is_silent

    def go_on(self) -> None:
        """Ends the pause."""
        self.status = RecordingStatus.IN_PROGRESS

    def finish(self) -> None:
        """Completes it, since it was stopped or the call is over; once."""
        if not self.is_live:
            return
        self._call.taps.remove(self)
        if self._request.trim == "trim-silence":
            self._trim()
        self.status = RecordingStatus.COMPLETED if self._caller else RecordingStatus.ABSENT
        self._tell(self.status.value)

    def wav(self) -> bytes:
        """The recording as a WAV file, 8 kHz and 16 bit."""
        sides = [
            np.frombuffer(decode_mulaw(bytes(side)), dtype=np.int16)
            for side in (self._caller, self._bot)
        ]
        tracks = {"inbound": sides[:1], "outbound": sides[1:]}.get(self._request.track, sides)
        if self.channels == 2:
            samples = np.stack(sides, axis=1)
        else:
            mixed = np.sum(tracks, axis=0, dtype=np.int32).clip(-32768, 32767)
            samples = mixed.astype(np.int16)
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(self.channels)
            writer.setsampwidth(2)
            writer.setframerate(SAMPLE_RATE)
            writer.writeframes(samples.astype("<i2").tobytes())
        return file.getvalue()

    def resource(self) -> dict[str, object]:
        """The recording as Twilio's JSON describes it."""
        account = self._call.exchange.account_sid
        is_over = not self.is_live
        return {
            "sid": self.sid,
            "account_sid": account,
            "call_sid": self.call_sid,
            "conference_sid": None,
            "api_version": "2010-04-01",
            "status": self.status.value,
            "channels": self.channels,
            "track": self._request.track,
            "source": self._request.source,
            "duration": str(round(self.seconds)) if is_over else "-1",
            "start_time": formatdate(self.began_at),
            "date_created": formatdate(self.began_at),
            "date_updated": formatdate(),
            "price": None,
            "price_unit": "USD",
            "error_code": None,
            "encryption_details": None,
            "media_url": self._call.exchange.recording_url(self.sid),
            "subresource_uris": {},
            "uri": f"/2010-04-01/Accounts/{account}/Recordings/{self.sid}.json",
        }

    def _trim(self) -> None:
        loud = np.concatenate([audible_samples(bytes(side)) for side in (self._caller, self._bot)])
        begin, end = (int(loud.min()), int(loud.max()) + 1) if len(loud) else (0, 0)
        for side in (self._caller, self._bot):
            del side[end:]
            del side[:begin]

    def _tell(self, event: str) -> None:
        self._call.log.note("recording", recording_sid=self.sid, status=event)
        if not self._request.status_callback or event not in self._request.events:
            return
        parameters = {
            "AccountSid": self._call.exchange.account_sid,
            "CallSid": self.call_sid,
            "RecordingSid": self.sid,
            "RecordingStatus": event,
            "RecordingChannels": str(self.channels),
            "RecordingTrack": self._request.track,
            "RecordingSource": self._request.source,
            "RecordingStartTime": formatdate(self.began_at),
            "ErrorCode": "0",
        }
        if event == RecordingStatus.COMPLETED.value:
            parameters["RecordingDuration"] = str(round(self.seconds))
            parameters["RecordingUrl"] = self._call.exchange.recording_url(self.sid)
        self._call.callbacks.post(
            f"recording-{event}",
            self._request.status_callback,
            parameters,
            self._request.status_callback_method,
        )
