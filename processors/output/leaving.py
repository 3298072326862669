"""What a bot does with its call from within the pipeline: leave the line, press keys, act."""

from pipecat.processors.frame_processor import FrameProcessor

from twilio_frames.frames import Act, DetourFrame
from twilio_frames.processors.output.line_face import Line
from twilio_frames.processors.output.pacer import OutputPacer
from twilio_frames.twiml import PlayDigits

_NO_DETOURS = (
    "expected a call on a stream, whose detours twilio_frames.server sees to, and verbs that "
    "Twilio takes, got others: a DetourFrame is left out"
)
_NO_CALL = (
    "expected a pipeline that a twilio_frames.call.Call runs, got another: a CallActionFrame is "
    "left out"
)


class Leaving:
    """Leaves a line for something else, when it is due or at once.

    Args:
        output: In whose name errors are pushed.
        line: The line.
        pacer: What is being said on it.
    """

    def __init__(self, output: FrameProcessor, line: Line, pacer: OutputPacer):
        self._output = output
        self._line = line
        self._pacer = pacer
        self._keys: DetourFrame | None = None

    async def at_once(self, detour: DetourFrame) -> bool:
        """Leaves in the middle of what is being said, which goes on when the line is back.

        Returns:
            Whether it has left; else what is being said goes on at once.
        """
        has_left = False
        try:
            await self._pacer.hold()
            # It may have been held for its caller before.
            await self._pacer.settled()
            has_left = await self.leave(detour)
        finally:
            if not has_left:
                await self._pacer.resume()
        return has_left

    async def leave(self, detour: DetourFrame) -> bool:
        """Leaves now, if anybody sees to it; a detour that was withdrawn is none."""
        detour.has_begun = True
        if not detour.verbs:
            return False
        has_left = await self._line.leave(detour)
        if not has_left:
            await self._output.push_error(_NO_DETOURS)
        return has_left

    async def act(self, action: Act | None) -> None:
        """Has the call do something."""
        if action is not None and not self._line.act(action):
            await self._output.push_error(_NO_CALL)

    def press(self, digits: str) -> DetourFrame | None:
        """The detour by which Twilio presses keys; None if an earlier one, not begun, does."""
        keys = self._keys
        if keys is not None and keys.verbs and not keys.has_begun:
            (before,) = keys.verbs
            assert isinstance(before, PlayDigits)  # noqa: S101 - it is made below
            keys.verbs = (PlayDigits(digits=before.digits + digits),)
            return None
        self._keys = DetourFrame(verbs=(PlayDigits(digits=digits),))
        return self._keys
