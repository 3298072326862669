"""Function calls of an LLM whose arguments are checked before the function runs."""

import json
from collections import deque
from collections.abc import Mapping
from typing import Any, Generic

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallResultProperties,
    UserStartedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import FunctionCallRunnerItem, LLMService, TAdapter
from pipecat.utils.errors import ErrorCategory

from twilio_frames.errors import brought_by
from twilio_frames.processors.llm import ApologyFrame
from twilio_frames.processors.output.function_rounds import FunctionRoundsOverFrame
from twilio_frames.processors.replies.apology import ReplyApology

with brought_by("openai"):
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, UnknownType, ValidationError, best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

__all__ = ["ChecksFunctionCalls", "mistake_in"]

_MOST_NAMED = 5
_NOWHERE = Registry()


class ChecksFunctionCalls(LLMService[TAdapter], Generic[TAdapter]):
    """Mixin of an LLM service, before it in the list of bases: functions get what they expect.

    Arguments that do not fit the function's JSON schema (missing, too many, of a wrong type, not of
    an enumeration) do not reach the function: the model is told what is wrong and what was
    expected, so that it can call again. After ``wrong_calls_limit`` such calls in a row the caller
    hears the apology instead, and the conversation goes on. Properties that the schema does not
    name are refused unless it says ``additionalProperties`` itself.

    Args:
        wrong_calls_limit: How many calls in a row may be wrong before the model is not asked again.
        function_call_timeout_secs: Seconds that a function may take. It is cancelled then, the
            model is told, and speaks.
        apology: Said when the model does not get it right.
        **kwargs: Passed on.
    """

    def __init__(
        self,
        *,
        wrong_calls_limit: int = 3,
        function_call_timeout_secs: float | None = 10.0,
        apology: str = "",
        **kwargs: Any,
    ):
        super().__init__(function_call_timeout_secs=function_call_timeout_secs, **kwargs)
        self.apology = ReplyApology(apology)
        self._wrong_calls_limit = wrong_calls_limit
        self._wrong_calls = 0
        self._unreadable: deque[str] = deque(maxlen=50)

    def note_unreadable(self, tool_call_id: str) -> None:
        """Notes that the arguments of a call were no JSON object; it is refused when it comes."""
        self._unreadable.append(tool_call_id)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Counts wrong calls anew in each turn of the caller; apologises for calls without end."""
        if isinstance(frame, UserStartedSpeakingFrame):
            self._wrong_calls = 0
        await super().process_frame(frame, direction)
        if isinstance(frame, FunctionRoundsOverFrame):
            await self._apologise_instead(frame.reproach)

    async def push_frame(
        self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM
    ) -> None:
        """Pushes a frame, unless it has come to its end here."""
        if not isinstance(frame, FunctionRoundsOverFrame):
            await super().push_frame(frame, direction)

    # Pipecat's public hooks come before the calls are grouped; this one knows the group.
    async def _run_function_call(self, runner_item: FunctionCallRunnerItem) -> None:
        mistake = self._mistake_of(runner_item)
        if mistake is None:
            self._wrong_calls = 0
            await super()._run_function_call(runner_item)
            return
        self._wrong_calls += 1
        runner_item.settled = True
        gives_up = self._wrong_calls >= self._wrong_calls_limit
        await self._answer(runner_item, mistake, gives_up=gives_up)
        if gives_up:
            await self._apologise_for(runner_item.function_name)

    def _mistake_of(self, item: FunctionCallRunnerItem) -> str | None:
        schema = self._schema_of(item)
        if item.tool_call_id in self._unreadable:
            self._unreadable.remove(item.tool_call_id)
            mistake = "The arguments are no JSON object."
        elif schema is None:
            return None
        else:
            mistake = mistake_in(item.arguments, schema)
        if mistake is None:
            return None
        expected = (
            f" Expected arguments by this JSON schema: {json.dumps(schema)}" if schema else ""
        )
        return f"The function `{item.function_name}` was not called. {mistake}{expected}"

    def _schema_of(self, item: FunctionCallRunnerItem) -> Mapping[str, Any] | None:
        # A context without tools says so by a value of its own, which has no list of them.
        for tool in getattr(item.context.tools, "standard_tools", ()):
            if tool.name == item.function_name:
                return {"additionalProperties": False, **tool.to_default_dict()["parameters"]}
        return None

    async def _answer(self, item: FunctionCallRunnerItem, result: str, *, gives_up: bool) -> None:
        logger.debug(f"{self}: the call of {item.function_name} was wrong and is sent back")
        call: dict[str, Any] = {
            "function_name": item.function_name,
            "tool_call_id": item.tool_call_id,
            "arguments": item.arguments,
        }
        await self.broadcast_frame(
            FunctionCallInProgressFrame,
            **call,
            cancel_on_interruption=True,
            group_id=item.group_id,
        )
        properties = FunctionCallResultProperties(run_llm=False) if gives_up else None
        await self.broadcast_frame(
            FunctionCallResultFrame, **call, result=result, properties=properties
        )

    async def _apologise_for(self, function_name: str) -> None:
        self._wrong_calls = 0
        await self._apologise_instead(
            f"expected arguments that fit the schema of {function_name}, got "
            f"{self._wrong_calls_limit} calls in a row that do not: make its description clearer, "
            "or use a stronger model"
        )

    async def _apologise_instead(self, reproach: str) -> None:
        await self.push_error(reproach, category=ErrorCategory.APPLICATION)
        if apology := self.apology.take():
            await self.push_frame(ApologyFrame(apology))


def mistake_in(arguments: Any, schema: Mapping[str, Any]) -> str | None:
    """What is wrong with the arguments of a function, for the model to read; None if nothing is.

    A schema that is none itself is not checked against.
    """
    validator = Draft202012Validator(dict(schema), registry=_NOWHERE)
    try:
        errors = sorted(validator.iter_errors(arguments), key=lambda error: error.json_path)
    except (SchemaError, UnknownType, Unresolvable, ValueError, TypeError) as error:
        logger.warning(f"a function's schema cannot be checked against: {type(error).__name__}")
        return None
    if not errors:
        return None
    return " ".join(f"{_sentence(error)}." for error in errors[:_MOST_NAMED])


def _sentence(error: ValidationError) -> str:
    cause = best_match([error]) or error
    path = cause.json_path.removeprefix("$").removeprefix(".")
    return f"{path}: {cause.message}" if path else cause.message
