"""The transport's output: what speaks to the line, and knows when its pipeline is up."""

from typing import Any

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameProcessorSetup

from twilio_frames.processors.mulaw_output import MulawOutput
from twilio_frames.transport.connection import MediaConnection
from twilio_frames.transport.params import TwilioParams


class TwilioOutput(MulawOutput):
    """Speaks to the caller; a pipeline may have it alone, to announce something.

    Args:
        connection: The stream's.
        params: As for the transport.
        options: More arguments of :class:`MulawOutput`.
    """

    def __init__(self, connection: MediaConnection, params: TwilioParams, **options: Any):
        super().__init__(connection, params, **options)
        self._connection = connection

    async def setup(self, setup: FrameProcessorSetup):
        """Attends to the pipeline's start."""
        await super().setup(setup)
        setup.pipeline_worker.add_event_handler("on_pipeline_started", self._pipeline_started)

    async def _pipeline_started(self, _worker: object, _frame: Frame) -> None:
        self._connection.checks.pipeline_is_up = True
