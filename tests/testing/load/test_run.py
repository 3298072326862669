"""Loads of real bots on this machine."""

import pytest
from twilio.request_validator import RequestValidator

from tests.testing.bots import AUTH_TOKEN, Webhook, serving, tone
from tests.testing.load.bots import AnsweringBot, bot_url
from twilio_frames.errors import ConfigurationError
from twilio_frames.testing.load import CallerBehaviour, LoadPlan, run_load
from twilio_frames.testing.load.figures import LoadProgress
from twilio_frames.testing.load.phrases import prepare

BEHAVIOUR = CallerBehaviour(interrupting=0.0, patience=2.0, pause=0.1)


async def load(url: str, **plan):
    defaults = {
        "calls": 3,
        "seconds": 2.5,
        "ramp": 0.2,
        "settling": 0.0,
        "behaviour": BEHAVIOUR,
        "seed": 1,
    }
    phrase_set = await prepare([tone(0.5)], noise_level=None)
    settings = {"auth_token": AUTH_TOKEN, "seed": 1, **defaults, **plan}
    return await run_load(LoadPlan(url=url, **settings), phrase_set=phrase_set)


async def test_load_measures_every_call():
    bot = AnsweringBot()
    async with bot_url(bot) as url:
        result = await load(url)

    assert (result.up, result.made, result.failed) == (3, 3, 0)
    assert result.figures.first_audio.count >= 3
    assert -0.1 < result.figures.first_audio.p50 < 0.5
    assert result.timekeeping.turns > 200
    assert not bot.breaks
    assert bot.stops == 3
    assert bot.marks >= 6


async def test_upgrade_is_signed():
    bot = AnsweringBot()
    async with bot_url(bot) as url:
        await load(url, calls=1, seconds=0.2)

    (request,) = bot.requests
    signature = request.headers["x-twilio-signature"]
    signed = url.replace("ws://", "wss://")
    assert RequestValidator(AUTH_TOKEN).validate(signed, {}, signature)
    assert "Origin" not in request.headers
    assert request.headers["User-Agent"] == "Twilio.TmeWs/1.0"


async def test_webhook_is_signed_and_followed():
    bot = AnsweringBot()
    stream = '<Connect><Stream url="/stream"><Parameter name="who" value="jo"/></Stream></Connect>'
    webhook = Webhook("<Redirect>/next</Redirect>", stream)
    async with serving(bot, webhook) as host:  # pyright: ignore[reportArgumentType]
        result = await load(f"http://{host}/voice", calls=1, seconds=0.3)

    assert result.failed == 0
    assert webhook.are_signed == [True, True]
    assert webhook.paths == ["/voice", "/next"]
    assert bot.starts[0]["customParameters"] == {"who": "jo"}
    assert bot.starts[0]["callSid"] == webhook.forms[0]["CallSid"]


async def test_caller_calls_again_when_hung_up_on():
    bot = AnsweringBot(hangs_up_after=1)
    async with bot_url(bot) as url:
        result = await load(url, calls=1, seconds=4.0)

    assert result.made > 1
    assert result.failed == 0


async def test_caller_who_stays_a_while_calls_again():
    bot = AnsweringBot()
    async with bot_url(bot) as url:
        result = await load(url, calls=2, seconds=4.0, call_secs=0.4)

    assert result.failed == 0
    assert result.made == len(bot.starts) == bot.stops
    # A call of 0.4 s, and a second between two.
    assert 4 <= result.made <= 10


async def test_refused_calls_have_failed():
    async with bot_url(AnsweringBot()) as url:
        result = await load(url.replace("/stream", "/nowhere"), calls=2)

    assert (result.up, result.failed) == (0, 2)
    ((reason, count),) = result.failures.items()
    assert "404" in reason
    assert count == 2


async def test_lost_calls_have_failed():
    async with bot_url(AnsweringBot(crashes=True)) as url:
        result = await load(url, calls=1, seconds=0.5)

    ((reason, _),) = result.failures.items()
    assert "1006" in reason


async def test_mute_bot_has_failed():
    behaviour = CallerBehaviour(patience=0.5)
    async with bot_url(AnsweringBot(is_mute=True)) as url:
        result = await load(url, calls=1, seconds=1.0, behaviour=behaviour)

    assert result.failed == 1
    assert "heard nothing" in next(iter(result.failures))
    assert result.figures.bot_minutes == 0


async def test_progress_is_told():
    told: list[LoadProgress] = []
    phrase_set = await prepare([tone(0.5)], noise_level=None)
    async with bot_url(AnsweringBot()) as url:
        plan = LoadPlan(url=url, calls=2, seconds=1.2, ramp=0.1, settling=0.5, behaviour=BEHAVIOUR)
        await run_load(plan, phrase_set=phrase_set, on_progress=told.append)

    assert {progress.stage for progress in told} == {"calling", "settling", "measuring"}
    assert told[-1].up == 2


@pytest.mark.parametrize("url", ["ftp://example.com", "ws://[::1", ""])
async def test_url_must_be_rung(url: str):
    with pytest.raises(ConfigurationError, match=r"scheme|malformed"):
        await run_load(LoadPlan(url=url))
