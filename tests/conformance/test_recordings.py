"""Recordings over the REST API, asked by the official SDK."""

import asyncio
import io
import wave

import aiohttp
import numpy as np
import pytest

from tests.conformance.facts import CALLS, RECORDINGS, error, fact
from tests.conformance.site import (
    ANNA,
    TOKEN,
    Site,
    refusal_of,
)
from tests.testing.bots import TinyBot, tone
from twilio_frames.testing import (
    Voicemail,
)


@fact("A recording is begun on a live call, and tells when it is complete.", RECORDINGS)
async def test_recording_is_begun(site: Site):
    async with site.ring(bot=TinyBot(lambda bot: bot.play(tone(0.5)))) as (bot, caller):
        await bot.wait_for("media")
        begun = await asyncio.to_thread(
            site.client.calls(caller.call_sid).recordings.create,
            recording_channels="dual",
            recording_status_callback=f"{site.url}/r",
            recording_status_callback_event=["in-progress", "completed"],
        )
        await caller.say(tone(0.5, 900))
    assert (begun.status, begun.channels) == ("in-progress", 2)
    assert [form["RecordingStatus"] for form in site.posted("/r")] == ["in-progress", "completed"]
    left, right = await _samples(site, begun.sid)
    assert np.abs(left).max() > 5000
    assert np.abs(right).max() > 5000


@fact("Recordings are fetched and listed, of a call and of the account.", RECORDINGS)
async def test_recordings_are_listed(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("media")
        recordings = site.client.calls(caller.call_sid).recordings
        begun = await asyncio.to_thread(recordings.create)
        await caller.wait(0.5)
    fetched = await asyncio.to_thread(site.client.recordings(begun.sid).fetch)
    assert (fetched.call_sid, fetched.status) == (caller.call_sid, "completed")
    for listing in (recordings.list, site.client.recordings.list):
        assert [item.sid for item in await asyncio.to_thread(listing)] == [begun.sid]


@fact("A pause is kept as silence, or left out with `skip`.", RECORDINGS)
async def test_pause_may_be_skipped(site: Site):
    lengths: dict[str, int] = {}
    for behaviour in ("silence", "skip"):
        async with site.ring() as (bot, caller):
            await bot.wait_for("media")
            recordings = site.client.calls(caller.call_sid).recordings
            begun = await asyncio.to_thread(recordings.create)
            current = recordings("Twilio.CURRENT")
            await asyncio.to_thread(current.update, status="paused", pause_behavior=behaviour)
            await caller.wait(1.0)
            await asyncio.to_thread(current.update, status="in-progress")
            await asyncio.to_thread(recordings(begun.sid).update, status="stopped")
        lengths[behaviour] = len((await _samples(site, begun.sid))[0])
    assert lengths["silence"] >= 8000
    assert lengths["skip"] < 4000


@fact("A call that is over cannot be recorded: 21220.", error(21220))
async def test_ended_call_is_not_recorded(site: Site):
    async with site.ring() as (_, caller):
        pass
    recordings = site.client.calls(caller.call_sid).recordings
    assert await refusal_of(asyncio.to_thread(recordings.create)) == 21220


@fact("A recording is deleted.", RECORDINGS)
async def test_recording_is_deleted(site: Site):
    async with site.ring() as (bot, caller):
        await bot.wait_for("media")
        recordings = site.client.calls(caller.call_sid).recordings
        begun = await asyncio.to_thread(recordings.create)
    await asyncio.to_thread(site.client.recordings(begun.sid).delete)
    assert await refusal_of(asyncio.to_thread(site.client.recordings(begun.sid).fetch)) == 20404


@fact("`record` records the whole call; silence at its ends is trimmed.", CALLS)
async def test_call_is_recorded(site: Site):
    site.bot = TinyBot(lambda bot: bot.play(tone(0.5)))
    party = site.twilio.answer_with(ANNA, Voicemail(greeting=b"\xff" * 8000, has_beep=False))
    created = await site.create(record=True)
    await site.bot.wait_for("media", 50)
    await asyncio.to_thread(site.client.calls(created.sid).update, status="completed")
    await party.wait_for_result()
    (recording,) = await asyncio.to_thread(site.client.calls(created.sid).recordings.list)
    assert (recording.source, recording.channels) == ("OutboundAPI", 1)
    assert len((await _samples(site, recording.sid))[0]) == pytest.approx(4000, abs=4)


async def _samples(site: Site, sid: str) -> list[np.ndarray]:
    """The channels of a recording, fetched as a bot would fetch it."""
    url = f"{site.twilio.rest_url}/2010-04-01/Accounts/{site.twilio.account_sid}/Recordings/{sid}"
    login = aiohttp.encode_basic_auth(site.twilio.account_sid, TOKEN)
    async with aiohttp.ClientSession(headers={"Authorization": login}) as session:
        async with session.get(f"{url}.wav") as answer:
            assert answer.status == 200
            body = await answer.read()
    with wave.open(io.BytesIO(body)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
        return list(samples.reshape(-1, file.getnchannels()).T)
