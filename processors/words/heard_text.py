"""The frame of a word that the caller has heard."""

from dataclasses import dataclass, fields

from pipecat.frames.frames import SystemFrame, TTSTextFrame

__all__ = ["HeardTextFrame", "heard_text"]


@dataclass
class HeardTextFrame(SystemFrame, TTSTextFrame):
    """A word the caller has heard.

    A system frame, so that it reaches the assistant's memory before an interruption that follows it
    does (a data frame is overtaken, and then counts for the next reply).
    """


def heard_text(source: TTSTextFrame, text: str) -> HeardTextFrame:
    """The frame of a word from a service's text frame.

    Args:
        source: What the service pushed.
        text: The word.
    """
    given = {f.name: getattr(source, f.name) for f in fields(TTSTextFrame) if f.init}
    frame = HeardTextFrame(**{**given, "text": text})
    frame.append_to_context = source.append_to_context
    frame.includes_inter_frame_spaces = source.includes_inter_frame_spaces
    frame.transport_destination = source.transport_destination
    frame.interruptible = source.interruptible
    if text != source.text:
        frame.raw_text = None
        frame.includes_inter_frame_spaces = False
    return frame
