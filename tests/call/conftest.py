"""What several tests of calls need."""

import io
import wave
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.transport.bots import tone


@pytest.fixture
async def files() -> AsyncIterator[str]:
    """The URL of a sound file."""
    body = io.BytesIO()
    with wave.open(body, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(tone(0.5))
    app = web.Application()

    async def music(_request: web.Request) -> web.Response:
        return web.Response(body=body.getvalue(), content_type="audio/wav")

    app.router.add_get("/music.wav", music)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/music.wav"
    await runner.cleanup()
