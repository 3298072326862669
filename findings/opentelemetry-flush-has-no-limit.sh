#!/usr/bin/env bash
# A flush that is given half a second takes as long as the exporter does, and says all is well.
#
# Seen with opentelemetry-sdk 1.45.2: BatchSpanProcessor.force_flush(timeout_millis) never looks at
# its argument, and exports in the thread that asks, a batch after the other, each for as long as
# its exporter takes; shutdown() waits for the exporter too. TracerProvider.force_flush() looks at
# the clock between its processors alone.
#
# For a phone bot: whoever flushes at a call's end, so that its trace is not lost, stops the event
# loop, and with it the audio of all other calls, for as long as the collector keeps them waiting.
# Here: no call's end flushes anything; the spans are exported by the processor's own thread.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check opentelemetry-sdk==1.45.2

"$folder/venv/bin/python" - <<'PYTHON'
import time
from importlib.metadata import version

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult


class Slow(SpanExporter):
    """A collector that takes three seconds for whatever it is sent."""

    def export(self, spans) -> SpanExportResult:
        time.sleep(3.0)
        return SpanExportResult.SUCCESS


def flushed(by: str) -> tuple[bool, bool]:
    """Whether a flush within half a second is told to have succeeded, and took all three."""
    processor = BatchSpanProcessor(Slow())
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    with provider.get_tracer("bot").start_as_current_span("call"):
        pass
    begin = time.monotonic()
    succeeded = (processor if by == "processor" else provider).force_flush(500)
    secs = time.monotonic() - begin
    print(f"the {by}'s force_flush(500): {succeeded} after {secs:.1f} s")
    provider.shutdown()
    return succeeded, secs > 2.5


print("opentelemetry-sdk", version("opentelemetry-sdk"))
seen = flushed("processor") == (True, True) and flushed("provider") == (True, True)
print("seen as described" if seen else "NOT as described")
raise SystemExit(not seen)
PYTHON
