"""Stock Pipecat's bot, with nothing changed but its transport; its port goes to stdout.

What ``stock_bot.py`` is, and two lines: the transport, and who reads the stream's start.
"""

import sys

import bot_loop
import stock_bot
from fastapi import WebSocket
from loguru import logger

from twilio_frames.transport import TwilioTransport


def phone_transport(websocket: WebSocket, _stream_sid: str, _call_sid: str) -> TwilioTransport:
    """This package's transport, where stock Pipecat has its own and a serializer."""
    return TwilioTransport(websocket)


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    bot_loop.run(stock_bot.serve(stock_bot.stand_ins, phone_transport))
