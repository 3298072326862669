"""A call that a bot has placed, ringing at one of the simulated callers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from twilio_frames.errors import CallFailedError
from twilio_frames.errors.settings import check_settings
from twilio_frames.testing.callers.caller import Caller
from twilio_frames.testing.callers.ear import Ear
from twilio_frames.testing.callers.voice import Voice
from twilio_frames.testing.calls.call import DEFAULT_SECS, SimulatedCall
from twilio_frames.testing.calls.facts import CallEnd, CallStatus
from twilio_frames.testing.calls.instructions import Instructions
from twilio_frames.testing.lines.conditions import PERFECT_LINE, LineConditions
from twilio_frames.testing.lines.line import Tap
from twilio_frames.testing.results.recording import Recording
from twilio_frames.testing.speech import CALLER_VOICE


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerOptions:
    """How a caller sounds, and what is kept of the call.

    Parameters:
        record: File for a stereo WAV of the call as heard: caller left, bot right.
        log: File for every message and event, as JSON lines.
        noise_level: Background noise, dB of full scale (-60 is a quiet room); None for digital
            silence.
        line: What the line does to the call: delay, jitter, what breaks, echo.
        seed: Makes the noise and all that the line does the same each time.
        voice: The voice in which text is said, an espeak-ng name.
        seconds: How long the call may last at most.
        microphone: What is heard of the caller where the script says nothing: somebody who speaks
            now, in the place of noise.
        taps: Get what both sides said, as it passes.
    """

    record: Path | None = None
    log: Path | None = None
    noise_level: float | None = None
    line: LineConditions = PERFECT_LINE
    seed: int = 0
    voice: str = CALLER_VOICE
    seconds: float = DEFAULT_SECS
    microphone: Voice | None = None
    taps: Sequence[Tap] = ()

    def __post_init__(self) -> None:
        check_settings(self, above_zero=("seconds",), signed=("noise_level", "seed"))


@asynccontextmanager
async def on_the_line(
    call: SimulatedCall, instructions: Instructions, options: CallerOptions
) -> AsyncIterator[Caller]:
    """Carries a call with a caller on it; leaving it hangs up.

    Raises:
        CallFailedError: If no call comes about; it says what Twilio would.
    """
    call.log.write_to(options.log)
    call.seed = options.seed
    call.equip(
        options.microphone or Voice(noise_level=options.noise_level, seed=options.seed),
        Ear(),
        Recording(options.record) if options.record else None,
        options.line,
    )
    for tap in options.taps:
        call.taps.add(tap)
    caller = Caller(call, recording=options.record, voice=options.voice)
    call.begin(instructions, seconds=options.seconds)
    try:
        await call.ready.wait()
        errors = [alert for alert in call.alerts if alert.is_error]
        if errors and not call.streams and call.end is not None:
            raise CallFailedError("; ".join(str(alert) for alert in errors))
        yield caller
    finally:
        call.order(CallEnd.CALLER_HUNG_UP)
        await call.finish()


class RingingCall:
    """A call to be answered, or not.

    Args:
        call: The call.
        instructions: What it does when it is answered.
        seconds: How long it rings.
        send_digits: What the bot asked to be dialed behind the number.
    """

    def __init__(
        self,
        call: SimulatedCall,
        instructions: Instructions,
        *,
        seconds: float,
        send_digits: str = "",
    ):
        self.send_digits = send_digits
        self._call = call
        self._instructions = instructions
        self._timer = asyncio.get_running_loop().call_later(seconds, self._give_up)

    @property
    def call_sid(self) -> str:
        """Twilio's name of the call."""
        return self._call.sid

    @property
    def to_number(self) -> str:
        """Whom the bot called."""
        return self._call.numbers.to_number

    @property
    def from_number(self) -> str:
        """The number that shows as the bot's."""
        return self._call.numbers.from_number

    @property
    def is_ringing(self) -> bool:
        """Whether it can still be answered."""
        return self._call.status is CallStatus.RINGING

    @asynccontextmanager
    async def answer(self, options: CallerOptions | None = None) -> AsyncIterator[Caller]:
        """Picks up; leaving it hangs up.

        Raises:
            CallFailedError: If it has stopped ringing, or the bot cannot be reached.
        """
        if not self.is_ringing:
            raise CallFailedError(
                f"expected a call that rings, got one that is {self._call.status.value}"
            )
        self._timer.cancel()
        self._call.answer_later()
        async with on_the_line(
            self._call, self._instructions, options or CallerOptions()
        ) as caller:
            yield caller

    @property
    def sip_headers(self) -> Mapping[str, str]:
        """The ``X-`` headers that a SIP address was called with."""
        return self._call.numbers.sip_headers

    async def decline(self, sip_code: str = "486") -> None:
        """Takes no call; is busy, if nothing else is told.

        Args:
            sip_code: Why, in SIP's words.
        """
        self._timer.cancel()
        is_there = sip_code in ("486", "600", "603", "607")
        self._call.refuse(CallStatus.BUSY if is_there else CallStatus.FAILED, sip_code)
        await self._call.finish()

    def cancel(self) -> None:
        """Stops ringing, since the bot has called it off or Twilio closes."""
        self._timer.cancel()
        if self.is_ringing:
            self._call.refuse(CallStatus.CANCELED)

    def _give_up(self) -> None:
        if self.is_ringing:
            self._call.refuse(CallStatus.NO_ANSWER)
