"""What a pipeline is made of."""

from collections.abc import Iterator

from pipecat.processors.frame_processor import FrameProcessor

__all__ = ["parts_around", "parts_in"]


def parts_in(processor: FrameProcessor) -> Iterator[FrameProcessor]:
    """The processors inside of one, a pipeline say, in order, those inside of them too."""
    for one in processor.processors:
        yield one
        yield from parts_in(one)


def parts_around(
    processor: FrameProcessor,
) -> tuple[list[FrameProcessor], list[FrameProcessor]]:
    """The processors ahead of one and behind it, those inside of others too.

    Args:
        processor: One that has been set up. One that stands inside of another that does not name
            its parts has nobody around it.
    """
    line = list(parts_in(processor.pipeline_worker.pipeline))
    if processor not in line:
        return [], []
    place = line.index(processor)
    return line[:place], line[place + 1 :]
