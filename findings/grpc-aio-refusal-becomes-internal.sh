#!/usr/bin/env bash
# A refused stream is at times an internal error, whose status tells nothing of the refusal.
#
# Seen with grpcio 1.85.3 (grpc.aio, both ends): a server refuses a bidirectional stream at once, as
# it does where a key is wrong. Where that meets a request which the client is just writing, the
# call ends with INTERNAL and "Internal error from Core", and its code() and details() say the same:
# the server's status is lost. It happens in some 1 to 16 of 100 refusals. Where the server reads
# what was asked before it refuses, each refusal comes with its own status.
#
# For a phone bot: one and the same wrong key is a failure for good or one that seems to pass.
# Here: an internal error is asked again, and the second refusal is nearly always told as what it is.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.3

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import grpc

CALLS = 3000


async def refuse_at_once(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext):
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Refused.")
    yield b""


async def refuse_what_was_read(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext):
    async for _ in requests:
        pass
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Refused.")
    yield b""


async def two_requests() -> AsyncIterator[bytes]:
    yield b"which voice"
    yield b"which text"


async def outcomes(channel: grpc.aio.Channel, method: str) -> Counter[str]:
    """How the calls end, and what each says of its end when it is asked."""
    ends: Counter[str] = Counter()
    for _ in range(CALLS):
        call = channel.stream_stream(f"/voice/{method}")(two_requests())
        try:
            async for _ in call:
                pass
        except grpc.aio.AioRpcError as error:
            ends[f"{error.code().name}, then {(await call.code()).name}: {error.details()}"] += 1
    return ends


async def main() -> None:
    server = grpc.aio.server()
    methods = {
        "at_once": grpc.stream_stream_rpc_method_handler(refuse_at_once),
        "when_read": grpc.stream_stream_rpc_method_handler(refuse_what_was_read),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("voice", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        at_once, when_read = [await outcomes(channel, name) for name in methods]
    await server.stop(None)
    print("refused at once:", dict(at_once))
    print("refused when read:", dict(when_read))
    lost = at_once["INTERNAL, then INTERNAL: Internal error from Core"]
    told = at_once["UNAUTHENTICATED, then UNAUTHENTICATED: Refused."]
    is_so = lost > 0 and lost + told == CALLS and list(when_read.values()) == [CALLS]
    print("seen as described" if is_so else "NOT as described")
    raise SystemExit(not is_so)


print("grpcio", grpc.__version__)
asyncio.run(main())
PYTHON
