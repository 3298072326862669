"""Keeps a library from telling its maker of our runs."""

import os

__all__ = ["keep_quiet"]


def keep_quiet() -> None:
    """Sets what keeps onnxruntime quiet, unless it is set; before it is first imported.

    Its Linux wheels (1.32) keep a device id and events in the user's cache from their first import
    on, and look their maker's collector up at the first session. This variable stops both;
    ``onnxruntime.disable_telemetry_events()`` after the import is too late for the files.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
