"""The web application Twilio talks to: webhooks, streams, a page to call from.

::

    async def bot(call: Call) -> None:
        await call.run(Pipeline([call.transport.input(), ..., call.transport.output()]))

    asyncio.run(serve(bot, ServerSettings.from_environment(), port=8000))
"""

from twilio_frames.call import Call
from twilio_frames.server.app import create_app
from twilio_frames.server.calls.callers import CallerRules
from twilio_frames.server.calls.preparing import ComingCall
from twilio_frames.server.calls.switchboard import Bot
from twilio_frames.server.fleet.settings import FleetSettings
from twilio_frames.server.listening import Server, serve
from twilio_frames.server.settings import ServerSettings

__all__ = [
    "Bot",
    "Call",
    "CallerRules",
    "ComingCall",
    "FleetSettings",
    "Server",
    "ServerSettings",
    "create_app",
    "serve",
]
