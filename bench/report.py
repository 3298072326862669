"""The figures of a comparison, as a table."""

import math

Figures = dict[str, dict[str, float]]
"""Figure to side to value."""

_ROWS = (
    ("in_pcm", "media message to PCM", "us"),
    ("in_frame", "media message to frame", "us"),
    ("out_message", "PCM to media message, 40 ms", "us"),
    ("out_second", "PCM to messages, a second of speech", "us"),
    ("vad_batch_1", "VAD window, model, 1 stream at once", "us"),
    ("vad_batch_8", "VAD window, model, 8 streams at once", "us"),
    ("vad_batch_32", "VAD window, model, 32 streams at once", "us"),
    ("vad_analysis_1", "VAD window in the pipeline, 1 call", "us"),
    ("vad_analysis_8", "VAD window in the pipeline, 8 calls", "us"),
    ("cpu", "CPU per call, {calls} calls", "% of a core"),
    ("memory_call", "memory per further call", "MB"),
    ("memory_kept", "memory kept after all hung up", "MB"),
    ("answer_p50", "caller's turn to first audio, p50", "ms"),
    ("answer_p95", "caller's turn to first audio, p95", "ms"),
    ("silence_p50", "caller's onset to silence, p50", "ms"),
    ("silence_p95", "caller's onset to silence, p95", "ms"),
    ("gaps", "gaps over 60 ms a minute of bot speech", ""),
    ("stall_gap", "gap heard after a 200 ms stall", "ms"),
    ("stopped_p50", "BotStoppedSpeaking after the ear, p50", "ms"),
    ("stopped_low", "BotStoppedSpeaking after the ear, p5", "ms"),
    ("stopped_high", "BotStoppedSpeaking after the ear, p95", "ms"),
    ("malformed", "calls lost to 5 malformed messages", ""),
)
_NO_RATIO = {"stopped_p50", "stopped_low", "stopped_high"}


def print_table(figures: Figures, *, calls: int) -> None:
    """Prints figure, ours, stock, and how many times more stock has."""
    print(f"{'figure':40} {'ours':>9} {'stock':>9} {'stock/ours':>11}")
    for name, label, unit in _ROWS:
        ours, stock = figures[name]["ours"], figures[name]["stock"]
        ratio = "" if name in _NO_RATIO else _ratio(ours, stock)
        print(f"{label.format(calls=calls):40} {_short(ours)} {_short(stock)} {ratio:>11}  {unit}")
    turns, barge_ins = figures["turns"], figures["barge_ins"]
    print(
        f"\n{turns['ours']:.0f} and {turns['stock']:.0f} turns, {barge_ins['ours']:.0f} and "
        f"{barge_ins['stock']:.0f} of them over the bot's speech; 99 % of the callers' own clock "
        f"ticks were late by at most {max(figures['clock_late'].values()):.0f} ms."
    )


def _short(value: float) -> str:
    return f"{value:9.2f}" if abs(value) < 10 else f"{value:9.0f}"


def _ratio(ours: float, stock: float) -> str:
    if math.isnan(ours) or math.isnan(stock) or ours <= 0:
        return "-"
    return f"{stock / ours:.1f}"
