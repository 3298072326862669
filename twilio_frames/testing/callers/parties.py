"""Those who answer a number by themselves: a scripted person, a voicemail."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from twilio_frames.audio import SAMPLE_RATE, encode_mulaw
from twilio_frames.errors import CallFailedError
from twilio_frames.testing.callers.caller import Caller
from twilio_frames.testing.callers.tones import KeyEar
from twilio_frames.testing.calls.ringing import CallerOptions, RingingCall
from twilio_frames.testing.results.result import CallResult
from twilio_frames.testing.speech import Speech

PartyScript = Callable[[Caller], Awaitable[object]]
"""What somebody does who has picked up; hangs up when it returns."""


class Party:
    """Somebody at a number: picks up each call to it, and does what a script says.

    Args:
        script: What is done on each call; None to be busy always.
        options: How the party sounds, and what is kept of the calls.
        rings_for: Seconds until it picks up.
    """

    def __init__(
        self,
        script: PartyScript | None,
        *,
        options: CallerOptions | None = None,
        rings_for: float = 0.0,
    ):
        self._script = script
        self._options = options
        self._rings_for = rings_for
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Condition()
        self.results: list[CallResult] = []
        """What came of each call so far."""
        self.errors: list[Exception] = []
        """What the script raised, but for calls that ended under it, and nobody has seen yet."""

    def take(self, ringing: RingingCall) -> None:
        """Lets it ring here."""
        task = asyncio.create_task(self._answer(ringing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait_for_result(self, *, seconds: float = 30.0) -> CallResult:
        """Waits until a call to this number is over; gives the last one.

        Raises:
            CallFailedError: If none is in time.
            Exception: What the script raised.
        """
        try:
            async with asyncio.timeout(seconds), self._ended:
                await self._ended.wait_for(lambda: self.results or self.errors)
        except TimeoutError:
            raise CallFailedError(
                f"expected a call to this number to be over within {seconds:g} s, got none"
            ) from None
        if self.errors:
            raise self.errors.pop(0)
        return self.results[-1]

    async def close(self) -> None:
        """Hangs up."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, ringing: RingingCall) -> None:
        try:
            await asyncio.sleep(self._rings_for)
            if not ringing.is_ringing:
                return
            if self._script is None:
                await ringing.decline()
            elif isinstance(self._script, Refusing):
                await ringing.decline(self._script.sip_code)
            else:
                await self._talk(ringing, self._script)
        # A script can raise anything, and it must not get lost.
        except Exception as error:
            self.errors.append(error)
        async with self._ended:
            self._ended.notify_all()

    async def _talk(self, ringing: RingingCall, script: PartyScript) -> None:
        async with ringing.answer(self._options) as caller:
            try:
                await script(caller)
            except CallFailedError:
                # The other side hung up in the middle of the script: that is how calls end.
                if caller.is_connected:
                    raise
        self.results.append(caller.result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusing:
    """Somebody who takes no call, as the script of a party.

    Parameters:
        sip_code: SIP's word for why: 603 for declined, 486 for busy, 404 for nobody there.
    """

    sip_code: str = "603"

    async def __call__(self, caller: Caller) -> None:
        """Is not reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voicemail:
    """An answering machine, as the script of a party: greeting, beep, and it listens.

    What was left on it is the result's ``heard_bot`` from the end of the beep on.

    Parameters:
        greeting: What it says first.
        has_beep: Whether a tone follows.
        pause: Seconds between the two.
        seconds: How long it listens at most.
    """

    greeting: Speech
    has_beep: bool = True
    pause: float = 0.3
    seconds: float = 600.0

    async def __call__(self, caller: Caller) -> None:
        """Takes one call."""
        await caller.say(self.greeting)
        if self.has_beep:
            await caller.wait(self.pause)
            await caller.say(beep())
        await caller.wait_for_end(seconds=self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneMenu:
    """A menu that is navigated by keys, as the script of a party.

    It says what belongs to the keys pressed so far, and waits for the next; a key silences it. Keys
    that lead nowhere have it repeat itself. Where nothing is pressed for long, it hangs up.

    Parameters:
        says: What it says at each place, by the keys that lead there: ``""`` is the beginning,
            ``"2"``, ``"21"`` and so on.
        pressed: The keys of each call so far, for a test to look at.
        patience: Seconds it waits for a key at each place.
    """

    says: Mapping[str, Speech]
    pressed: list[str] = field(default_factory=list[str])
    patience: float = 20.0

    async def __call__(self, caller: Caller) -> None:
        """Takes one call."""
        place, known, ear = "", 0, KeyEar()
        while True:
            saying = await caller.start_saying(self.says[place])
            until = caller.now + self.patience
            keys = ""
            while not keys and caller.now < until:
                await caller.wait(0.1)
                # The last key may still sound.
                keys = ear.keys_in(caller.heard_so_far[: -SAMPLE_RATE // 10])[known:]
            if not keys:
                return
            if saying.ended_at is None:
                caller.stop_saying()
            for key in keys:
                known += 1
                self.pressed.append(key)
                place = place + key if place + key in self.says else place


def beep(seconds: float = 0.4, frequency: float = 1000) -> bytes:
    """A tone such as answering machines end their greeting with, mu-law."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = 8000 * np.sin(2 * np.pi * frequency * time)
    return encode_mulaw(wave.astype(np.int16).tobytes())
