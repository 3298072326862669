"""Turns on a phone line end by a longer silence than Pipecat's own, and nobody is warned of it."""

import pytest
from loguru import logger
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy

from twilio_frames.examples.bot import bot
from twilio_frames.processors.context import phone_turn_strategies
from twilio_frames.testing import Phone


@pytest.mark.parametrize("eager", [False, True])
def test_pipecat_keeps_its_warning_where_ours_is_said(eager: bool):
    (ours,) = phone_turn_strategies(eager=eager).stop or []
    assert isinstance(ours, SpeechTimeoutUserTurnStopStrategy)
    # Pipecat forgets that it has warned whenever a recogniser tells of itself.
    ours._stop_secs_warned = False  # pyright: ignore[reportPrivateUsage]

    assert ours._stop_secs_warned  # pyright: ignore[reportPrivateUsage]
    assert "_stop_secs_warned" in vars(SpeechTimeoutUserTurnStopStrategy())


async def test_call_is_without_a_warning(phone: Phone):
    warned: list[str] = []
    sink = logger.add(lambda message: warned.append(str(message)), level="WARNING")
    try:
        await phone.ring(bot, ["A large latte, please."])
    finally:
        logger.remove(sink)

    assert [line for line in warned if "stop_secs" in line] == []
