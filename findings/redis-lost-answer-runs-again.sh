#!/usr/bin/env bash
# A step of which only the answer was lost is carried out eleven times.
#
# Seen with redis 8.1.0: a client as it comes has Retry(ExponentialWithJitterBackoff(), 10), in
# redis.asyncio too, and repeats whatever command ends in a ConnectionError or a TimeoutError.
# Whether the server has carried it out makes no difference: INCR, LPUSH and scripts are repeated as
# GET is.
#
# For a phone bot's workers: a counter of calls in progress is up by eleven behind a fail-over that
# cut one connection, and lines that nobody has are taken until somebody sets it right.
# Here: nothing is repeated by the client; a step that may have been carried out is a script that
# can bear to be.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check redis==8.1.0

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import time
from importlib.metadata import version

import redis.asyncio as redis


class Server:
    """Carries INCR out, and dies before it answers; a new connection finds what was counted."""

    def __init__(self) -> None:
        self.lines = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            words = []
            for _ in range(int(head[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2].decode())
            if words[0] in ("INCR", "INCRBY"):
                self.lines += 1
                break
            writer.write(b"+OK\r\n")
        writer.close()


async def counted(client: str, **options: object) -> int:
    """How often a line is counted that was counted once."""
    server, begin, error = Server(), time.monotonic(), None
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with redis.Redis(port=port, protocol=2, **options) as connected:
        try:
            await connected.incr("lines")
        except redis.ConnectionError as raised:
            error = type(raised).__name__
    listener.close()
    secs = time.monotonic() - begin
    print(f"{client}: counted {server.lines} times in {secs:.1f} s, {error}")
    return server.lines


async def main() -> None:
    from redis.backoff import NoBackoff
    from redis.asyncio.retry import Retry

    as_it_comes = await counted("a client as it comes")
    bare = await counted("one that repeats nothing", retry=Retry(NoBackoff(), 0))
    seen = (as_it_comes, bare) == (11, 1)
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("redis", version("redis"))
asyncio.run(main())
PYTHON
