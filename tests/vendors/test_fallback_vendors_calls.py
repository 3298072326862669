"""Whole calls with the vendors' real clients, and a second vendor that takes over from each."""

import sys
from itertools import repeat
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from truth_services import Behaviour, TimedSpeaker  # pyright: ignore[reportMissingImports]

from tests.processors.fallback_rig import ScriptedLLM
from tests.vendors.fallback_bot import TwoVendorsBot, talking
from tests.vendors.faults import bad_day
from twilio_frames.services.cartesia import PhoneCartesiaTTSService
from twilio_frames.testing import Phone
from twilio_frames.testing.vendors import CartesiaServer, Hang

ONE = "Bada gime lopu nasi rito. Fesu dabo keni muta golu."
TWO = "Visa relo."


def cartesia(server: CartesiaServer) -> PhoneCartesiaTTSService:
    settings = PhoneCartesiaTTSService.Settings(voice="someone")
    return PhoneCartesiaTTSService(api_key="any", url=server.tts_url, settings=settings)


@bad_day("fallback", "Cartesia hangs in mid-word", "A pause of 1.5 s at most, then another voice.")
async def test_cartesia_hangs_in_mid_word(phone: Phone):
    async with CartesiaServer(faults=repeat(Hang(after=12))) as server:
        bot = TwoVendorsBot(
            llm=[ScriptedLLM([ONE], [TWO])], tts=[cartesia(server), TimedSpeaker(Behaviour())]
        )
        async with talking(phone, bot, ONE, TWO) as talk:
            await talk.say()
            await talk.hears(ONE)
            await talk.say()
            await talk.hears(TWO)
            await bot.remembers(
                "user: more", f"assistant: {ONE}", "user: more", f"assistant: {TWO}"
            )
    assert bot.switches == [("voice 1", "voice 2")]
