"""Digits that a caller presses or says, and menus: what a bot asks for, and a model."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from loguru import logger
from pipecat.services.llm_service import FunctionCallParams

from twilio_frames.call.control import CallControl
from twilio_frames.call.digits import (
    DigitsOutcome,
    DigitsResult,
    Keypad,
    Prompt,
    Remember,
    Request,
    request_for,
)
from twilio_frames.errors import ConfigurationError, RestError
from twilio_frames.pipecat_internals import tool_options
from twilio_frames.rest import TwilioRest
from twilio_frames.transport import TwilioTransport

__all__ = ["KeyedCall"]


class KeyedCall(CallControl):
    """A call whose caller can be asked for digits.

    Args:
        transport: The call's.
        call_sid: The call.
        rest: The account's REST API; None where there is none.
    """

    def __init__(self, transport: TwilioTransport, call_sid: str, rest: TwilioRest | None):
        super().__init__(transport, call_sid, rest)
        self._keypad = Keypad(transport, self.running_worker, self.said_so_far)

    async def collect_digits(
        self,
        *,
        length: int | tuple[int, int] | None = None,
        end: str = "#",
        seconds_to_first: float = 10.0,
        seconds_between: float = 4.0,
        prompt: Prompt = None,
        confirm: str | bool = False,
        attempts: int = 3,
        spoken: bool | Callable[[str], str | None] = False,
        private: bool = True,
        remember: Remember = None,
    ) -> DigitsResult:
        """Ask the caller for digits, and gather them.

        A key stops the prompt, and what else is being said. Meanwhile what is pressed goes to
        nobody else, and with a ``PhoneContextAggregator`` in the pipeline what is said does not
        either. Several requests are made one after the other.

        Args:
            length: How many, or how many at least and at most; None for any number.
            end: The key that ends them early; empty for none.
            seconds_to_first: How long the first may take, from when the prompt was heard.
            seconds_between: How long each further one may; a longer pause ends them.
            prompt: What is said first: a text for the pipeline's TTS service, or a clip. None to
                ask in silence.
            confirm: Whether they are read back, for the caller to press 1 (right) or 2 (again); or
                the text for that, with ``{digits}`` in it. The LLM never knows of it.
            attempts: How often it is begun, at most, where they are not confirmed.
            spoken: Whether digits may be said too, in English; or what reads them out of words,
                and gives None for words that are something else. Other words end it.
            private: Whether all of it is kept from call logs; from taps, a recorder say, which
                hear silence of both sides; and from Twilio's recording, which is paused.
            remember: What the LLM's context is told: the digits, or a placeholder in their place.

        Raises:
            ConfigurationError: What is asked for makes no sense, or no pipeline runs.
            RestError: Twilio's recording could not be paused; nothing has been asked.
        """
        self.refuse_in_response()
        request = request_for(
            length,
            confirm,
            spoken,
            end=end,
            first_secs=seconds_to_first,
            between_secs=seconds_between,
            prompt=prompt,
            attempts=attempts,
            is_private=private,
        )
        async with self._unrecorded() if private else nullcontext():
            return await self._keypad.ask(request, remember)

    @asynccontextmanager
    async def _unrecorded(self) -> AsyncIterator[None]:
        """Keeps what happens out of Twilio's recording; that it goes on is not worth an error."""
        pause = self.recording.paused()
        await pause.__aenter__()
        try:
            yield
        finally:
            try:
                await pause.__aexit__(None, None, None)
            except RestError as error:
                if self.transport.end_reason is None:
                    logger.bind(call_sid=self.call_sid).warning(
                        f"{self.call_sid}: Twilio's recording stays paused: HTTP {error.status}"
                    )

    async def menu(
        self,
        options: Mapping[str, Any],
        *,
        prompt: Prompt = None,
        wrong: str | None = "That is not one of them.",
        attempts: int = 3,
        seconds_to_first: float = 8.0,
        seconds_between: float = 2.0,
    ) -> DigitsResult:
        """Let the caller choose by a key; asks again where it was another one, or none.

        Args:
            options: What may be pressed, each with what it stands for, which becomes the result's
                ``choice``.
            prompt: What is said first, each time.
            wrong: What is said before it, where it was none of them.
            attempts: How often it is asked at most.
            seconds_to_first: How long the key may take, from when the prompt was heard.
            seconds_between: How long a further one may, where options have several.

        Raises:
            ConfigurationError: An option is no key, or no pipeline runs.
        """
        if not options or not all(one and set(one) <= set("0123456789*#") for one in options):
            raise ConfigurationError("expected a menu's options to be keys such as 1 or 42")
        result = await self._keypad.ask(
            Request(
                options=tuple(options),
                end="",
                first_secs=seconds_to_first,
                between_secs=seconds_between,
                prompt=prompt,
                wrong=wrong,
                attempts=attempts,
                is_private=False,
            )
        )
        if result.outcome is not DigitsOutcome.COMPLETE:
            return result
        return DigitsResult(
            outcome=result.outcome, digits=result.digits, choice=options[result.digits]
        )

    def digits_function(
        self, check: Callable[[str], Awaitable[object]] | None = None, **options: Any
    ) -> Any:
        """The function by which a model asks for digits, for ``LLMContext(tools=[...])``.

        Args:
            check: Given the digits; what it gives is what the model is told, with their number and
                not the digits. None to tell it the digits.
            options: As for :meth:`collect_digits`.
        """

        # Longer than anybody takes to press what a model has asked for.
        @tool_options(timeout_secs=300.0)
        async def collect_digits(params: FunctionCallParams, prompt: str) -> None:
            """Ask the caller to press digits on the telephone's keys, and wait for them.

            Args:
                params: The call of the function.
                prompt: What is said to the caller to ask for them; do not say it anywhere else.
            """
            result = await self.collect_digits(prompt=prompt.strip() or None, **options)
            told: dict[str, Any] = {"outcome": result.outcome.value}
            if result.outcome is DigitsOutcome.COMPLETE:
                if check is None:
                    told["digits"] = result.digits
                else:
                    told["digits"] = f"{len(result.digits)}, which are kept from you"
                    told["result"] = await check(result.digits)
            elif result.words:
                told["words"] = result.words
            await params.result_callback(told)

        return collect_digits
