"""A call's line, account and pipeline: what may be told to it, and what is finished behind it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine
from typing import Any

from pipecat.frames.frames import Frame, TTSSpeakFrame
from pipecat.pipeline.worker import PipelineWorker

from twilio_frames.call.detours import STOP_SECS
from twilio_frames.errors import ConfigurationError, RestError
from twilio_frames.frames import CallEndReason, SaidSoFarFrame
from twilio_frames.pipecat_internals import name_trace
from twilio_frames.processors.llm import is_responding
from twilio_frames.rest import TwilioRest
from twilio_frames.transport import TwilioTransport

__all__ = ["RunningCall"]


class RunningCall:
    """A call whose pipeline runs, has run, or is about to.

    Args:
        transport: The call's.
        call_sid: The call.
        rest: The account's REST API; None where there is none.
    """

    _SAID_SECS: float = 60.0
    """How long it waits for the end of what is being said: longer than anybody listens to."""

    _MOST_UNTOLD: int = 64
    """Frames for a pipeline that does not run yet."""

    _RUNS_WITHIN_SECS: float = 5.0
    """How long it waits for the pipeline to run."""

    def __init__(self, transport: TwilioTransport, call_sid: str, rest: TwilioRest | None):
        self.transport = transport
        """The call's audio; put its ``input()`` and ``output()`` into the pipeline."""
        self.call_sid = call_sid
        """The call (``CA...``)."""
        self.rest = rest
        """The account's REST API; None where there is none."""
        self.worker: PipelineWorker | None = None
        """The worker of the call's pipeline, while that runs."""
        self._runs = asyncio.Event()
        self._requests: set[asyncio.Task[Any]] = set()
        self._has_run = self._is_redirected = False
        self._untold: deque[Frame] = deque(maxlen=self._MOST_UNTOLD)

    @property
    def was_answered(self) -> bool:
        """Whether a pipeline has run, the call is over, or it is on its way to something else."""
        line = self.transport
        is_gone = line.end_reason is not None or line.is_away or self._is_redirected
        return self._has_run or line.pipeline_is_up or is_gone

    async def began(self, worker: PipelineWorker) -> None:
        """Take the worker of a pipeline that begins to run."""
        self.worker, self._has_run = worker, True
        name_trace(worker, self.call_sid)
        await worker.queue_frames(self._untold)
        self._untold.clear()
        self._runs.set()

    def stopped(self) -> None:
        """Take note that the pipeline runs no more."""
        self.worker = None
        self._runs.clear()

    async def finish_requests(self) -> None:
        """Wait for what was asked of Twilio while the pipeline ran."""
        if self._requests:
            await asyncio.wait(self._requests)

    async def running_worker(self) -> PipelineWorker:
        """Give the worker of the pipeline; whoever acts beside ``Call.run()`` may be ahead of it.

        Raises:
            ConfigurationError: No pipeline runs.
        """
        if self.worker is None and self.transport.end_reason is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._RUNS_WITHIN_SECS):
                    await self._runs.wait()
        if self.worker is None:
            raise ConfigurationError(
                "expected a pipeline that runs, got none: do this while Call.run() does"
            )
        return self.worker

    async def tell(self, frame: Frame) -> None:
        """Put a frame into the pipeline, as soon as it runs; not behind its end."""
        if self.worker is not None:
            await self.worker.queue_frame(frame)
        elif not self._has_run:
            self._untold.append(frame)

    async def say(self, text: str) -> None:
        """Say something behind what is being said, by the pipeline's TTS service.

        Raises:
            ConfigurationError: No pipeline runs.
        """
        await (await self.running_worker()).queue_frame(TTSSpeakFrame(text))

    def refuse_in_response(self) -> None:
        """Refuse what waits for the pipeline while a ``respond()`` of its own holds that up.

        Raises:
            ConfigurationError: It is awaited there.
        """
        if is_responding():
            raise ConfigurationError(
                "expected a task for what has to be said first, got it awaited in respond(), which "
                "holds that up: do it in self.create_task(...), with may_be_silent=True where "
                "respond() says nothing"
            )

    async def said_so_far(self) -> None:
        """Wait until what has been said was heard, or nobody hears it any more.

        Raises:
            ConfigurationError: It is awaited in a ``respond()``.
        """
        self.refuse_in_response()
        if self.worker is None or self.transport.end_reason is not None:
            return
        frame = SaidSoFarFrame()
        await self.worker.queue_frame(frame)
        heard = asyncio.create_task(frame.heard.wait())
        ended = asyncio.create_task(self.transport.wait_for_close())
        both = {heard, ended}
        try:
            await asyncio.wait(both, timeout=self._SAID_SECS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()

    async def leave(self) -> None:
        """End the bot's part of a call that is away: it goes on without it, as ``TRANSFERRED``."""
        await self.transport.close(CallEndReason.TRANSFERRED, "somebody else has taken the call")

    async def redirect(
        self, *, url: str | None = None, twiml: str | None = None, at_once: bool = False
    ) -> None:
        """Give the call other TwiML, a ``<Dial>`` say: its stream ends, as ``TRANSFERRED``.

        What was said before is heard first. The request is finished even if the pipeline ends or is
        cancelled meanwhile. To come back from there, see :meth:`Call.detour`.

        Args:
            url: The webhook that says what the call does next; or
            twiml: what it does. It must itself keep the call up.
            at_once: Whether it goes in the middle of what is being said. Of that, Twilio plays what
                it has buffered.

        Raises:
            ConfigurationError: Without Twilio credentials.
            RestError: Twilio refused, or did not answer; the stream goes on.
        """
        if self.rest is None:
            raise ConfigurationError(
                "expected Twilio credentials for giving a call other TwiML, got none: set "
                "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
            )
        self.transport.expect_transfer()
        try:
            if not at_once:
                await self.said_so_far()
        except BaseException:
            # A caller who goes on, say: the function that wanted it was cancelled.
            self.transport.expect_transfer(False)
            raise
        request = asyncio.create_task(self._give(self.rest, url=url, twiml=twiml))
        self._requests.add(request)
        request.add_done_callback(self._requested)
        await asyncio.shield(request)
        self._is_redirected = True

    async def _give(self, rest: TwilioRest, *, url: str | None, twiml: str | None) -> None:
        try:
            await rest.update(self.call_sid, url=url, twiml=twiml)
        except RestError as error:
            # Its answer alone may be lost; the stream's end tells.
            if not (error.may_be_done and await self.transport.is_left(within_secs=STOP_SECS)):
                raise

    def _requested(self, request: "asyncio.Task[None]") -> None:
        self._requests.discard(request)
        if request.cancelled() or request.exception() is not None:
            self.transport.expect_transfer(False)

    def see_to(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something finished, even if the pipeline ends meanwhile."""
        task = asyncio.create_task(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
