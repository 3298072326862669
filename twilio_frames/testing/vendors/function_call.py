"""A function call, as a scripted model makes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """The model calls a function.

    Parameters:
        name: The function.
        arguments: Its arguments; a string is sent as it is, be it JSON or not.
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict, repr=False)

    @property
    def written(self) -> str:
        """The arguments as they are sent."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(dict(self.arguments))
