"""Sends a million spoilt messages to streams of both roles, and many to a bot on a real socket.

    python fuzz/million.py [--messages 1000000] [--socket-messages 120000] [--seed 1]

Nothing may raise, every stream must stay sane, and the call on the socket must go on: behind all
of it the bot still hears a key, still speaks, and the call ends by Twilio's ``stop``. The call is
recorded and logged, and somebody listens in who raises at everything.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from itertools import islice

from loguru import logger
from mutations import SID, Mutations
from sanity import require_sanity
from socket_call import SocketOutcome, flood

from twilio_frames.protocol import Role, Start, Stream, StreamState, Violation

_MESSAGES_A_STREAM = 1000


def flood_streams(messages: int, *, seed: int) -> Counter[str]:
    """Sends so many messages to streams, half of them to either role; counts what came of them."""
    counts: Counter[str] = Counter()
    for role in Role:
        row = iter(Mutations(role.other, seed=seed))
        for number in range(messages // 2 // _MESSAGES_A_STREAM):
            stream = Stream(role)
            if number % 4:
                stream.adopt(Start(stream_sid=SID))
            for message in islice(row, _MESSAGES_A_STREAM):
                if stream.state is StreamState.STOPPED:
                    stream = Stream(role)
                    stream.adopt(Start(stream_sid=SID))
                before = stream.state
                events = stream.receive(message)
                require_sanity(stream, before, events)
                for event in events:
                    is_violation = isinstance(event, Violation)
                    name = event.kind.value if is_violation else type(event).__name__
                    counts[f"{role.value} got {name}"] += 1
    return counts


def _print_counts(counts: Counter[str]) -> None:
    for name, count in sorted(counts.items()):
        print(f"  {name:32} {count:9,}")


def _print_outcome(outcome: SocketOutcome, seconds: float) -> None:
    print(f"{outcome.sent:,} messages over a socket to a bot, in {seconds:.0f} s:")
    _print_counts(Counter(outcome.violations))
    print(f"  a key was heard behind them      {outcome.key_heard}")
    print(f"  the caller's audio was heard     {outcome.audio_heard}")
    print(f"  the bot was heard behind them    {outcome.bot_heard}")
    print(f"  the call ended                   {outcome.end_reason}")
    print(f"  recording and log are whole      {outcome.is_recorded and outcome.is_logged}")
    print("  what listeners raised:")
    _print_counts(Counter(outcome.listener_failures))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--socket-messages", type=int, default=120_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logger.remove()
    # Not what the bad listener raises, which is counted.
    logger.add(
        sys.stderr, level="ERROR", filter=lambda record: "BadListener" not in record["message"]
    )
    began = time.monotonic()
    counts = flood_streams(arguments.messages, seed=arguments.seed)
    print(f"{arguments.messages:,} messages to streams, in {time.monotonic() - began:.0f} s:")
    _print_counts(counts)
    began = time.monotonic()
    outcome = asyncio.run(flood(arguments.socket_messages, seed=arguments.seed))
    _print_outcome(outcome, time.monotonic() - began)
    if not outcome.is_well:
        sys.exit("expected the call to go on to its end, it did not")


if __name__ == "__main__":
    main()
