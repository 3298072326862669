"""The fixture ``phone``: whom it can ring, who can call, and what it tells."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from aiohttp import web
from fastapi import FastAPI, Response, WebSocket
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from tests.testing.bots import TinyBot, serving, tone
from twilio_frames.errors import CallFailedError, ConfigurationError
from twilio_frames.local.tts import EspeakTTSService
from twilio_frames.processors.context import PhoneContextAggregator
from twilio_frames.server import Call
from twilio_frames.testing import (
    CallEnd,
    Caller,
    Limits,
    Phone,
    Script,
    SimulatedTwilio,
    UnexpectedCallError,
)
from twilio_frames.testing.scripts.script import Event, Expectation, ScriptTurn


async def greeter(call: Call) -> None:
    """Says one sentence, and waits for the caller to hang up."""
    tts = EspeakTTSService()
    pipeline = Pipeline([call.transport.input(), tts, call.transport.output()])
    await call.run(pipeline, begin_with=[TTSSpeakFrame("Your table for two is booked, thank you.")])


async def greet(bot: TinyBot):
    await bot.play(tone(0.2))


def tiny_app(bot: TinyBot) -> web.Application:
    app = web.Application()
    app.router.add_get("/stream", bot.stream)
    return app


async def test_words_of_a_bot_are_known(phone: Phone):
    call = await phone.ring(greeter)

    assert call.heard("your table for 2 is booked")
    assert not call.heard("table for three")
    assert call.words is not None
    words = [word.text for word in call.words]
    assert words == ["Your", "table", "for", "two", "is", "booked,", "thank", "you."]
    assert [turn.words for turn in call.result.turns] == [" ".join(words)]


class Mishears(FrameProcessor):
    """Takes whatever is said for one thing."""

    _has_heard = False

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame) and not self._has_heard and max(frame.audio):
            self._has_heard = True
            await self.push_frame(TranscriptionFrame("a tree", "", ""))


async def test_what_the_bot_understood_is_shown(phone: Phone):
    async def bot(call: Call):
        context = PhoneContextAggregator(LLMContext())
        parts = [call.transport.input(), Mishears(), context.user(), call.transport.output()]
        await call.run(Pipeline(parts))

    async def say(caller: Caller):
        await caller.say(tone(0.2))
        await caller.wait(0.2)

    call = await phone.ring(bot, say)

    assert "(understood: a tree)" in repr(call)


async def test_what_was_cut_off_was_not_heard(phone: Phone):
    async def impatient(caller: Caller):
        await caller.wait_until_bot_speaks(for_seconds=0.9)
        assert await caller.has_heard("your table")
        await caller.hang_up()

    call = await phone.ring(greeter, impatient)

    assert call.heard("your table")
    assert not call.heard("thank you")
    assert call.result.end is CallEnd.CALLER_HUNG_UP


async def test_aiohttp_application_is_rung(phone: Phone):
    bot = TinyBot(greet)
    call = await phone.ring(tiny_app(bot), path="ws:/stream", parameters={"table": "7"})

    assert call.result.first_audio is not None
    assert call.words is None
    assert bot.said("start")[0]["start"]["customParameters"] == {"table": "7"}


async def test_asgi_application_is_rung(phone: Phone):
    app = FastAPI()

    @app.post("/voice")
    async def voice() -> Response:
        document = '<Response><Connect><Stream url="/ws"/></Connect></Response>'
        return Response(document, media_type="application/xml")

    @app.websocket("/ws")
    async def stream(websocket: WebSocket):
        await websocket.accept()
        for _ in range(20):
            await websocket.receive_text()
        await websocket.close()

    async def listen(caller: Caller):
        assert await caller.wait_for_end(seconds=5) is CallEnd.BOT_HUNG_UP

    call = await phone.ring(app, listen, path="/voice")

    assert call.judge(Limits(end="caller hung up"))[0].got == "'bot hung up'"


async def test_url_is_rung(phone: Phone):
    async with serving(TinyBot(greet)) as host:
        call = await phone.ring(f"ws://{host}/stream")

    assert call.result.turns


async def test_application_may_want_to_know_its_twilio(phone: Phone):
    seen: list[str] = []

    def make(twilio: SimulatedTwilio) -> web.Application:
        seen.append(twilio.rest_url)
        return tiny_app(TinyBot(greet))

    async with phone.desk(make, path="ws:/stream") as desk:
        assert seen == [desk.twilio.rest_url]
        first, second = await desk.ring(), await desk.ring()

    assert first.result.call_sid != second.result.call_sid


async def test_calls_run_side_by_side(phone: Phone):
    apps = [tiny_app(TinyBot(greet)) for _ in range(3)]

    calls = await asyncio.gather(*(phone.ring(app, path="ws:/stream") for app in apps))

    assert all(call.result.first_audio is not None for call in calls)


async def test_script_that_is_not_met_fails_the_test(phone: Phone):
    soon = Expectation(event=Event.BOT_STARTED_SPEAKING, within=0.2)
    script = Script(name="hasty", turns=(ScriptTurn(expect=(soon,)),))

    with pytest.raises(UnexpectedCallError, match="within 200 ms, got nothing") as error:
        await phone.ring(tiny_app(TinyBot()), script, path="ws:/stream")

    assert isinstance(error.value, AssertionError)
    assert len(error.value.checks) == 1


async def test_limits_judge_any_call(phone: Phone):
    with pytest.raises(UnexpectedCallError, match="a call of at most 100 ms"):
        await phone.ring(tiny_app(TinyBot(greet)), path="ws:/stream", limits=Limits(call=0.1))


async def test_yaml_file_is_a_caller(phone: Phone, tmp_path: Path):
    path = tmp_path / "keys.yaml"
    path.write_text('turns: [{expect: [{event: response}]}, {dtmf: "1#"}]')
    bot = TinyBot(greet)
    call = await phone.ring(tiny_app(bot), path, path="ws:/stream")

    assert not call.failures
    assert [each["dtmf"]["digit"] for each in bot.said("dtmf")] == ["1", "#"]


@pytest.mark.parametrize("bot", [None, 7, object(), lambda: None])
async def test_other_bots_are_explained(phone: Phone, bot):
    with pytest.raises(ConfigurationError, match="expected a URL, a bot"):
        await phone.ring(bot)


async def test_other_callers_are_explained(phone: Phone):
    with pytest.raises(ConfigurationError, match="expected a caller"):
        await phone.ring("ws://127.0.0.1:1/stream", 7)  # pyright: ignore[reportArgumentType]


async def test_nobody_there_is_no_assertion(phone: Phone):
    with pytest.raises(CallFailedError) as error:
        await phone.ring("ws://127.0.0.1:1/stream")
    assert not isinstance(error.value, AssertionError)


def test_plain_tests_can_ring(phone: Phone):
    call = phone.ring_sync(tiny_app(TinyBot(greet)), path="ws:/stream")

    assert call.result.first_audio is not None


async def test_ring_sync_wants_no_event_loop(phone: Phone):
    with pytest.raises(ConfigurationError, match=r"await phone\.ring"):
        phone.ring_sync("ws://127.0.0.1:1/stream")


def run_pytest(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(dedent(code))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, str(folder)],
        capture_output=True, text=True, timeout=120, check=False, cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def test_plugin_costs_nothing_until_it_is_used(tmp_path: Path):
    done = run_pytest(
        tmp_path,
        """\
        import sys

        def test_nothing_is_imported(pytestconfig):
            assert pytestconfig.pluginmanager.hasplugin("twilio_frames")
            ours = [name for name in sys.modules if name.startswith("twilio_frames")]
            assert sorted(ours) == ["twilio_frames", "twilio_frames.pytest_plugin"]
            assert not {"pipecat", "aiohttp", "numpy", "loguru", "yaml"} & set(sys.modules)

        def test_phone_is_there_without_any_import(phone):
            assert type(phone).__name__ == "Phone"
        """,
        # Plugins that happen to be installed beside it import what they like.
        *("-p", "no:aiohttp", "-p", "no:asyncio", "-p", "no:anyio", "-p", "no:hypothesispytest"),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
