"""Two servers behind one address: a call's webhook and its stream reach different ones."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from loguru import logger
from pipecat.pipeline.pipeline import Pipeline

from tests.call.test_detours import speech
from twilio_frames.call import Call
from twilio_frames.errors import CallFailedError
from twilio_frames.frames import CallActionFrame
from twilio_frames.server import FleetSettings, Server, ServerSettings, create_app
from twilio_frames.testing import SimulatedTwilio
from twilio_frames.testing.balancer import balancer
from twilio_frames.twiml import Pause


async def bot(call: Call) -> None:
    """Says something on two streams."""

    async def act(call: Call) -> None:
        await call.detour(Pause(seconds=1))
        for frame in speech(0.5):
            await call.tell(frame)
        await call.hang_up()

    pipeline = Pipeline([call.transport.input(), call.transport.output()])
    await call.run(pipeline, begin_with=[*speech(0.5), CallActionFrame(act=act)])


@pytest.mark.parametrize("knows", [False, True], ids=["each for itself", "with a register"])
async def test_call_needs_servers_that_know_of_each_other(tmp_path: Path, *, knows: bool):
    logged: list[str] = []
    sink = logger.add(logged.append, level="WARNING")
    register = f"sqlite://{tmp_path}/register.db" if knows else None
    async with SimulatedTwilio() as twilio, AsyncExitStack() as stack:
        stack.callback(logger.remove, sink)
        settings = ServerSettings(
            auth_token=twilio.auth_token, warm=False, fleet=FleetSettings(register=register)
        )
        apps = [create_app(bot, settings) for _ in range(2)]
        urls = [(await stack.enter_async_context(Server(app))).url for app in apps]
        url = await stack.enter_async_context(balancer(urls))
        if knows:
            async with twilio.call(f"{url}/twiml") as caller:
                await caller.wait_for_end(seconds=30)
            assert {span.stream for span in caller.result.heard_spans} == {0, 1}
        else:
            with pytest.raises(CallFailedError):
                async with twilio.call(f"{url}/twiml") as caller:
                    await caller.wait_until_bot_speaks()
            assert "webhook was answered by another process" in "".join(logged)
