#!/usr/bin/env bash
# A client that waits ten seconds for an order is told after a minute that the server is dead.
#
# Seen with redis 8.1.0, redis.asyncio: a client as it comes has socket_timeout=5, which earlier
# ones had not, and takes BLPOP, BRPOP, XREAD and their like for commands as any other. A wait of
# more than 5 s never comes to its own end: the connection is closed, the wait is asked anew on
# another one, ten times, and a TimeoutError ends it where None was due. Orders that come meanwhile
# are taken, so nobody sees it where there is much to do. A shorter wait, and pub/sub, are not
# concerned.
#
# For a phone bot's workers: on a quiet night the task that waits for calls to be placed dies, a
# minute after the last one, and nothing is dialled in the morning.
# Here: nothing waits in Redis; a worker looks at what is due by its own clock.
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

WAIT_SECS = 7


class Server:
    """Has nothing for anybody, and says so when their wait is over."""

    def __init__(self) -> None:
        self.asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            words = []
            for _ in range(int(head[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2].decode())
            if words[0] == "BLPOP":
                self.asked += 1
                asyncio.get_running_loop().call_later(int(words[-1]), writer.write, b"*-1\r\n")
            else:
                writer.write(b"+OK\r\n")
        writer.close()


async def waited(client: str, **options: object) -> tuple[str, int]:
    """How a wait for an order that does not come ends, and how often it was asked for."""
    server, begin = Server(), time.monotonic()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with redis.Redis(port=port, protocol=2, **options) as connected:
        try:
            ended = repr(await connected.blpop("orders", timeout=WAIT_SECS))
        except redis.TimeoutError as error:
            ended = type(error).__name__
    listener.close()
    secs = time.monotonic() - begin
    print(f"{client}: {ended} after {secs:.0f} s, asked {server.asked} times")
    return ended, server.asked


async def main() -> None:
    as_it_comes = await waited("a client as it comes")
    patient = await waited("one without a time-out of its own", socket_timeout=None)
    seen = as_it_comes == ("TimeoutError", 11) and patient == ("None", 1)
    print("seen as described" if seen else "NOT as described")
    raise SystemExit(not seen)


print("redis", version("redis"))
asyncio.run(main())
PYTHON
