"""Function calls put together from the pieces in which they are streamed."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from openai.types.chat.chat_completion_chunk import (
    ChoiceDelta,
    ChoiceDeltaToolCall,
    ChoiceDeltaToolCallFunction,
)

__all__ = ["CallPieces"]


@dataclass(slots=True)
class _Call:
    index: int
    id: str
    name: str = ""
    arguments: str = ""


class CallPieces:
    """Collects the calls of one reply.

    Servers differ: some send several calls under the same index, some no ids, some a call whole.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    @property
    def are_any(self) -> bool:
        """Whether there is a call."""
        return bool(self._calls)

    def take(self, delta: ChoiceDelta) -> None:
        """Takes the pieces out of a delta."""
        for piece in delta.tool_calls or ():
            call = self._call_of(piece)
            if piece.function is not None:
                call.name += piece.function.name or ""
                call.arguments += piece.function.arguments or ""
        delta.tool_calls = None

    def _call_of(self, piece: ChoiceDeltaToolCall) -> _Call:
        for call in reversed(self._calls):
            if call.index == piece.index and piece.id in (None, "", call.id):
                return call
        call = _Call(piece.index, piece.id or f"call_{uuid.uuid4().hex[:24]}")
        self._calls.append(call)
        return call

    def whole(self, note_unreadable: Callable[[str], None]) -> Iterator[ChoiceDelta]:
        """A delta for each call, in order.

        Args:
            note_unreadable: Is told the id of a call whose arguments are no JSON object, before
                that call comes, without arguments.
        """
        for number, call in enumerate(call for call in self._calls if call.name):
            arguments = call.arguments or "{}"
            if not _is_object(arguments):
                note_unreadable(call.id)
                arguments = "{}"
            function = ChoiceDeltaToolCallFunction(name=call.name, arguments=arguments)
            yield ChoiceDelta(
                tool_calls=[ChoiceDeltaToolCall(index=number, id=call.id, function=function)]
            )


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False
