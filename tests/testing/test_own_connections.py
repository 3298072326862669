"""The simulated Twilio's requests share no connection, so that two processes are found out."""

from aiohttp import web

from twilio_frames.testing import Phone
from twilio_frames.transport import TwilioTransport
from twilio_frames.twiml import connect_stream


async def test_each_request_has_a_connection_of_its_own(phone: Phone):
    asked: list[tuple[str, object]] = []

    def note(request: web.Request) -> None:
        assert request.transport is not None
        asked.append((request.path, request.transport.get_extra_info("peername")))

    async def twiml(request: web.Request) -> web.Response:
        note(request)
        base = f"{request.host}"
        text = connect_stream(
            f"ws://{base}/stream",
            status_callback=f"http://{base}/status",
            action=f"http://{base}/after",
        )
        return web.Response(text=text, content_type="text/xml")

    async def stream(request: web.Request) -> web.WebSocketResponse:
        note(request)
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        transport = TwilioTransport(websocket)
        await transport.wait_for_start()
        await transport.close()
        return websocket

    async def other(request: web.Request) -> web.Response:
        note(request)
        return web.Response(text="<Response/>", content_type="text/xml")

    app = web.Application()
    app.router.add_post("/twiml", twiml)
    app.router.add_get("/stream", stream)
    app.router.add_post("/{other}", other)
    async with phone.call(app, path="/twiml") as caller:
        await caller.wait_for_end(seconds=10)

    assert {"/twiml", "/stream", "/after"} <= {path for path, _ in asked}
    assert len({address for _, address in asked}) == len(asked)
