"""Writes docs/pipecat.md from the tests: ``python -m tests.pipecat.table``."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from pipecat.transports.base_transport import TransportParams

from tests.pipecat.features import FEATURES
from twilio_frames.transport.params import IMPOSSIBLE, WITHOUT_EFFECT

PATH = Path(__file__).parents[2] / "docs" / "pipecat.md"

_HEAD = """\
# What Pipecat has, on the phone line

Each line is a whole call, twice: the same bot over Pipecat's own transport
(`FastAPIWebsocketTransport` with `TwilioFrameSerializer`) and over `TwilioTransport`, served alike
and rung by the same caller. The test of that name, in `tests/pipecat`, runs on both. Made by
`python -m tests.pipecat.table`; do not edit it by hand.

| what Pipecat has | over Pipecat's transport | over ours | test |
|---|---|---|---|"""

_BEYOND = """
Beyond that:

- `params=PipelineParams(...)` of `Call.run()` and `phone_worker()` keeps the phone's rates where it
  names none, and turn tracking is on where tracing or an `AudioBufferProcessor` needs it.
- `PhoneContextAggregator(user_params=...)` keeps the phone's turn strategies beside what it is
  given ([turns](turns.md)).
- A recorded greeting and clips wait for a gate between the last service and the output
  ([the first word](first-word.md)).
- An `OutputAudioRawFrame` is no speech: it is heard in its turn where it is ready (a jingle), and
  in the pauses where it goes on and on (a room's noise). For a sound under the voice there is
  `audio_out_mixer`, at 8 kHz; it is silent while the bot is held, no word waits more than 0.1 s for
  it, and behind the output it is handed on along with speech alone.
- The audio that goes on behind the output is what was heard, when it was heard.
- What wants the caller's audio behind a recogniser that lets none pass is named in a warning.
- Digits are not sent: Twilio does not recognise tones in a media stream. Use TwiML
  (`<Play digits>`).

## Parameters that a phone line cannot fulfil

`TwilioParams` with one of these is a `ConfigurationError`:

| parameter | why |
|---|---|"""

_IDLE = """
These make no difference, and a warning says so:

| parameter | why |
|---|---|"""


def table() -> str:
    """The document."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"tests.pipecat.{path.stem}")
    yield _HEAD
    # Whatever was imported first.
    for one in sorted(FEATURES.values(), key=lambda each: each.module):
        yield f"| {one.name} | {one.stock} | {one.ours} | `{one.test}` |"
    yield _BEYOND
    for name, (_, why) in IMPOSSIBLE.items():
        yield f"| `{name}` | {why} |"
    yield _IDLE
    for name, why in WITHOUT_EFFECT.items():
        assert name in TransportParams.model_fields
        yield f"| `{name}` | {why} |"


if __name__ == "__main__":
    PATH.write_text(table())
