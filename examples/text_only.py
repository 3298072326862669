"""Tests of a dialogue in writing: the bot as it is, no audio, a hundredth of a second for a turn.

What you will hear: nothing. These are tests of ``bot.py``; copy them beside your own bot.

What it needs: the extra ``test``.

Run it::

    pytest -o asyncio_mode=auto --pyargs twilio_frames.examples.text_only
"""

from twilio_frames.examples.bot import bot
from twilio_frames.frames import CallEndReason
from twilio_frames.testing import Phone


async def test_order_is_taken(phone: Phone) -> None:
    """What the bot says, turn by turn, to the end of the call."""
    async with phone.text(bot) as talk:
        assert "welcome" in await talk.reply()
        assert "What size" in await talk.say("A latte, please.")
        assert "Any special milk" in await talk.say("Large.")
        assert "Is that right?" in await talk.say("No thanks.")
        assert "Goodbye" in await talk.say("Yes.")
        assert await talk.ended() is CallEndReason.BOT_HUNG_UP


async def test_caller_cuts_in(phone: Phone) -> None:
    """The caller interrupts after three words: those the bot remembers, and no more."""
    async with phone.text(bot) as talk:
        await talk.reply()
        assert await talk.say("A latte, please.", cut_after=3) == "Okay, a latte."
        assert "a small mocha" in await talk.say("No, a small mocha.")
        assert ("assistant", "Okay, a latte.") in talk.memory
