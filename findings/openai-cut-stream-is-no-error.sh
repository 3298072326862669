#!/usr/bin/env bash
# A streamed reply of which half is missing ends as a whole one does, without an error.
#
# Seen with openai 3.57.0: openai._streaming.AsyncStream ends at "[DONE]" or where the body does.
# Where the end of the connection is the end of the body, as of an HTTP/1.0 proxy, a server that
# died looks like one that is done; that finish_reason never came is left for the caller to notice.
#
# For a phone bot: it says half a sentence, which may mean the contrary of the whole one.
# Here: a reply without finish_reason is not complete, and the rest of it is asked for.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check openai==3.57.0

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import json
import os

import openai

os.environ["no_proxy"] = "*"
CHUNK = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Half a reply, and then the end of the connection, which here is the end of the body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = head.partition("content-length:")[2].partition("\r")[0]
    await reader.readexactly(int(length))
    writer.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    for text in ("Your appointment ", "is not "):
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        writer.write(f"data: {json.dumps(CHUNK | {'choices': [choice]})}\n\n".encode())
    await writer.drain()
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    text, reason, error = "", None, None
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:
        try:
            question = [{"role": "user", "content": "When is it?"}]
            stream = await client.chat.completions.create(
                model="m", messages=question, stream=True
            )
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
                reason = chunk.choices[0].finish_reason or reason
        except Exception as raised:
            error = raised
    server.close()
    print(f"text {text!r}, finish_reason {reason}, error {error!r}")
    is_silent = text == "Your appointment is not " and reason is None and error is None
    print("seen as described" if is_silent else "NOT as described")
    raise SystemExit(not is_silent)


print("openai", openai.__version__)
asyncio.run(main())
PYTHON
