"""Deepgram, OpenAI and Cartesia on this machine, the same for every bot that is measured.

Words are there 150 ms behind their sound, a reply begins after 250 ms and comes at 100 tokens a
second, speech begins after 90 ms and comes five times as fast as it is spoken. Addresses go to
stdout.
"""

import asyncio
import itertools

from stand_ins import note

from twilio_frames.testing.vendors import CartesiaServer, DeepgramServer, OpenAIServer

_REPLY = "It left our warehouse this morning, and it should be with you on Friday before noon."


async def serve() -> None:
    """Serves until it is killed."""
    deepgram = DeepgramServer(hears=lambda _: "When is my parcel going to arrive?", latency=0.15)
    openai = OpenAIServer(itertools.repeat(_REPLY), first_token_secs=0.25, token_seconds=0.01)
    cartesia = CartesiaServer(first_audio_secs=0.09)
    async with deepgram, openai, cartesia:
        note(
            "serving",
            DEEPGRAM_BASE_URL=deepgram.ws_url,
            OPENAI_BASE_URL=openai.base_url,
            CARTESIA_BASE_URL=cartesia.tts_url,
        )
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
