"""YAML whose values know in which line they stand, so that an error can say so. Pure but for files.

Only plain data is made of a file, never objects. Whole numbers are decimal ones alone, as in
Pipecat's scenario files: the digits ``012`` stay what they are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from twilio_frames.errors import ConfigurationError

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 20
_INCLUDE = "!include"
_STRING = "tag:yaml.org,2002:str"
_WHOLE_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_KINDS: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "keys with values",
    type(None): "nothing",
}


@dataclass(frozen=True, slots=True)
class Located:
    """A value, and where it stands.

    Parameters:
        value: Text, a number, true or false, or nothing; or a list or mapping of values that are
            located themselves.
        path: The file.
        line: The line in it, from 1.
    """

    value: object
    path: Path
    line: int

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.path}:{self.line}"

    def error(self, expected: str, advice: str) -> ConfigurationError:
        """The error that something else was expected here."""
        return ConfigurationError(f"expected {expected}, got {self.kind} at {self.where}: {advice}")

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if isinstance(self.value, str | int | float) and not isinstance(self.value, bool):
            return repr(self.value)
        return _KINDS.get(type(self.value), "something else")

    def mapping(self, name: str) -> "dict[str, Located]":
        """It as keys with values."""
        if not isinstance(self.value, dict):
            raise self.error(f"keys with values for `{name}`", "write `key: value` under it")
        return self.value

    def items(self, name: str) -> "list[Located]":
        """It as a list."""
        if not isinstance(self.value, list):
            raise self.error(f"a list for `{name}`", "begin each of its items with `- `")
        return self.value

    def text(self, name: str) -> str:
        """It as text."""
        if isinstance(self.value, str) and self.value.strip():
            return self.value
        raise self.error(f"text for `{name}`", "put it in quotes")

    def seconds(self, name: str) -> float:
        """It, in milliseconds, as seconds."""
        return self.number(name, "milliseconds") / 1000

    def number(self, name: str, unit: str = "a number", *, least: float = 0.0) -> float:
        """It as a number."""
        match self.value:
            case bool():
                pass
            case int() | float() as value if least <= value < float("inf"):
                return float(value)
            case _:
                pass
        raise self.error(f"{unit} for `{name}`", f"give a number, {least:g} or more")

    def whole(self, name: str) -> int:
        """It as a whole number, 0 or more."""
        if isinstance(self.value, int) and not isinstance(self.value, bool) and self.value >= 0:
            return self.value
        raise self.error(f"a whole number for `{name}`", "give one, 0 or more")

    def flag(self, name: str) -> bool:
        """It as true or false."""
        if isinstance(self.value, bool):
            return self.value
        raise self.error(f"true or false for `{name}`", "write one of them")


def read_yaml(path: Path) -> Located:
    """A YAML file's content; ``!include FILE`` stands for that file's.

    Raises:
        ConfigurationError: If a file cannot be read, or is no YAML.
    """
    return _Reader(path).read(_MAX_DEPTH)


class _Reader:
    def __init__(self, path: Path):
        self._path = path
        self._constructor = yaml.constructor.SafeConstructor()

    def read(self, depth: int) -> Located:
        if depth <= 0:
            raise ConfigurationError(
                f"expected files that end somewhere, got one that includes itself at {self._path}: "
                "take the !include out"
            )
        try:
            text = self._path.read_bytes()
            if len(text) > _MAX_BYTES:
                raise ConfigurationError(
                    f"expected at most {_MAX_BYTES} bytes, got {len(text)} at {self._path}: "
                    "put the scenarios in several files"
                )
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except OSError as error:
            raise ConfigurationError(
                f"expected a YAML file, got {error.strerror} at {self._path}: check the path"
            ) from error
        except yaml.YAMLError as error:
            raise self._malformed(error) from error
        if root is None:
            raise ConfigurationError(
                f"expected keys with values, got nothing at {self._path}: write a scenario"
            )
        return self._located(root, depth)

    def _malformed(self, error: yaml.YAMLError) -> ConfigurationError:
        mark = getattr(error, "problem_mark", None)
        where = f"{self._path}:{mark.line + 1}" if mark else str(self._path)
        problem = getattr(error, "problem", None) or "other text"
        return ConfigurationError(
            f"expected YAML, got {problem} at {where}: mend the indentation, a colon or a quote"
        )

    def _located(self, node: yaml.Node, depth: int) -> Located:
        line = node.start_mark.line + 1 if node.start_mark else 1
        if depth <= 0:
            raise ConfigurationError(
                f"expected at most {_MAX_DEPTH} levels, got more at {self._path}:{line}: "
                "does a value stand inside itself?"
            )
        if node.tag == _INCLUDE and isinstance(node, yaml.ScalarNode):
            return _Reader(self._path.parent / str(node.value)).read(depth - 1)
        return Located(self._value(node, depth - 1), self._path, line)

    def _value(self, node: yaml.Node, depth: int) -> object:
        if isinstance(node, yaml.MappingNode):
            return dict(self._entries(node, depth))
        if isinstance(node, yaml.SequenceNode):
            return [self._located(each, depth) for each in node.value]
        if node.tag.endswith(":int") and not _WHOLE_NUMBER.fullmatch(str(node.value)):
            node.tag = _STRING
        try:
            return self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigurationError(
                f"expected plain text or a number, got the tag {node.tag} at "
                f"{self._path}:{node.start_mark.line + 1}: put the value in quotes"
            ) from error

    def _entries(self, node: yaml.MappingNode, depth: int) -> Iterator[tuple[str, Located]]:
        self._constructor.flatten_mapping(node)
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen and value.start_mark.line >= node.start_mark.line:
                raise ConfigurationError(
                    f"expected each key once, got a second `{name}` at "
                    f"{self._path}:{key.start_mark.line + 1}: take one of them out"
                )
            seen.add(name)
            yield name, self._located(value, depth)
