"""The example of a campaign calls everybody, and says what it is to say."""

from dataclasses import replace
from datetime import time
from pathlib import Path

import pytest

from twilio_frames.campaign import CallingHours
from twilio_frames.examples.telephone import reminders
from twilio_frames.server import Server
from twilio_frames.testing import Caller, Phone, SimulatedTwilio

ANN, BEN = "+12125550191", "+12125550192"
ALWAYS = CallingHours(begin=time(0), end=time(23, 59, 59), days=tuple(range(7)))


async def test_everybody_is_reminded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    async def listen(caller: Caller) -> None:
        await caller.wait_for_end(seconds=60)

    init = Server.__init__
    monkeypatch.setattr(Server, "__init__", lambda self, app, port: init(self, app, port=0))
    table = tmp_path / "calls.csv"
    table.write_text(f"number,name,time\n{ANN},Ann,nine o'clock\n{BEN},Ben,ten o'clock\n")
    async with SimulatedTwilio() as twilio:
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", twilio.account_sid)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", twilio.auth_token)
        monkeypatch.setenv("TWILIO_FRAMES_API_URL", twilio.rest_url)
        monkeypatch.setenv("TWILIO_PHONE_NUMBER", "+12125550199")
        monkeypatch.delenv("TWILIO_FRAMES_PUBLIC_URL", raising=False)
        ann = twilio.answer_with(ANN, listen)
        twilio.answer_with(BEN, None)
        counts = await reminders.main(table, replace(reminders.POLICY, hours=ALWAYS))

    assert counts == {"answered": 1, "busy": 1}
    (heard,) = ann.results
    assert 4 < sum(turn.ended_at - turn.began_at for turn in heard.turns) < 12


async def test_reminder_is_said(phone: Phone):
    call = await phone.ring(reminders.bot)

    assert call.heard("reminder of your appointment at the usual time")
