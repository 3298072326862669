"""A supervisor: listens in on a call, shows its words, and whispers to the bot when it is due.

What you will see: what both sides say; and where the caller says "expensive", that the bot was told
to offer ten dollars off, which the caller does not hear.

What it needs: a server of this package's with a call on it, ``TWILIO_FRAMES_LOG_WORDS`` set there,
and its dial key, if it is asked for. Run it::

    python -m twilio_frames.examples.telephone.supervisor http://127.0.0.1:8000 CA...
"""

import asyncio
import os
import sys

import aiohttp

WHISPER = "The caller finds it expensive: offer ten dollars off."


async def supervise(server: str, call_sid: str, key: str | None = None) -> list[str]:
    """Listens until the call is over; gives what was said."""
    said: list[str] = []
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{server}/calls/{call_sid}/listen"
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.ws_connect(url) as websocket:
            async for message in websocket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue  # audio of one side: see docs/listening-in.md
                match message.json():
                    case {"event": "words", "who": who, "text": text}:
                        said.append(f"{who}: {text}")
                        sys.stdout.write(f"{said[-1]}\n")
                        if who == "caller" and "expensive" in text.lower():
                            await websocket.send_json({"do": "whisper", "text": WHISPER})
                    case {"event": "done", "do": "whisper"}:
                        sys.stdout.write("(the bot knows)\n")
                    case _:
                        pass
    return said


if __name__ == "__main__":
    server, call_sid = sys.argv[1:3]
    asyncio.run(supervise(server, call_sid, os.environ.get("TWILIO_FRAMES_DIAL_KEY")))
