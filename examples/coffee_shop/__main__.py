"""Order a coffee at the terminal: ``python -m twilio_frames.examples.coffee_shop``.

What you type goes where a caller's recognised words go; an empty line is a caller's silence.
"""

import sys
from typing import TextIO

from twilio_frames.examples.coffee_shop.dialogue import Dialogue


def chat(caller: TextIO, shop: TextIO) -> int:
    """Holds one conversation, a line a turn.

    Returns:
        0 once the caller has confirmed an order, else 1.
    """
    dialogue = Dialogue()
    reply = dialogue.greeting()
    shop.write(f"{reply.text}\n")
    while not reply.ends_call:
        shop.write("> ")
        shop.flush()
        if not (line := caller.readline()):
            shop.write("\n")
            break
        reply = dialogue.answer(line)
        shop.write(f"{reply.text}\n")
    return 0 if dialogue.confirmed else 1


if __name__ == "__main__":
    sys.exit(chat(sys.stdin, sys.stdout))
