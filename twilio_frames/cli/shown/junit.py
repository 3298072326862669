"""Results of scripted calls as JUnit XML, which every CI system reads."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from xml.etree import ElementTree

from twilio_frames.errors import ConfigurationError
from twilio_frames.testing.scripts.checks import Check

# What XML 1.0 has no way to say.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class TestedCall(Protocol):
    """One call, as a test case."""

    @property
    def name(self) -> str:
        """The scenario's name."""
        ...

    @property
    def file(self) -> str:
        """Where it stands."""
        ...

    @property
    def seconds(self) -> float:
        """How long it took."""
        ...

    @property
    def problem(self) -> str | None:
        """Why there was no call, or it broke off."""
        ...

    @property
    def failures(self) -> Sequence[Check]:
        """What was not as expected."""
        ...

    @property
    def story(self) -> str:
        """Who spoke when, line by line."""
        ...


def write_junit(path: Path | None, calls: Sequence[TestedCall]) -> None:
    """Writes a JUnit file; None: none.

    Raises:
        ConfigurationError: If it cannot be written.
    """
    if path is None:
        return
    try:
        path.write_bytes(junit_xml(calls))
    except OSError as error:
        raise ConfigurationError(
            f"expected to write {path}, got {error.strerror}: name a file in a folder that exists"
        ) from error


def junit_xml(calls: Sequence[TestedCall]) -> bytes:
    """The XML: a call that was not as expected is a failure, one that did not happen an error."""
    counts = {
        "tests": str(len(calls)),
        "failures": str(sum(bool(call.failures) and call.problem is None for call in calls)),
        "errors": str(sum(call.problem is not None for call in calls)),
        "time": f"{sum(call.seconds for call in calls):.3f}",
    }
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": "twilio-frames call", **counts})
    for call in calls:
        _add_case(suite, call)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _add_case(suite: ElementTree.Element, call: TestedCall) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {"classname": _xml(call.file), "name": _xml(call.name), "time": f"{call.seconds:.3f}"},
    )
    if call.problem is not None:
        error = ElementTree.SubElement(case, "error", {"message": _xml(call.problem)})
        error.text = _xml(call.problem)
    elif call.failures:
        lines = [str(check) for check in call.failures]
        failure = ElementTree.SubElement(case, "failure", {"message": _xml(lines[0])})
        failure.text = _xml("\n".join(lines))
    ElementTree.SubElement(case, "system-out").text = _xml(call.story)


def _xml(text: str) -> str:
    return _NOT_XML.sub("?", text)
