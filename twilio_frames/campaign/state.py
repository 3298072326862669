"""What a campaign has done, in an SQLite file that outlives the process at any moment.

Each change is one transaction that is on the disk when it returns. That Twilio is about to be asked
for a call is written before it is asked; so a call may be in the file that never was, and none can
be that is not in the file. The file itself refuses a second open attempt of one number, and a
second process.

Blocks for the disk.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from twilio_frames.campaign.plan import Attempt
from twilio_frames.campaign.policy import Outcome
from twilio_frames.errors import ConfigurationError

__all__ = ["CampaignState"]

_VERSION = 1
_SCHEMA = """
CREATE TABLE attempts (
    key INTEGER PRIMARY KEY,
    number TEXT NOT NULL,
    asked_at REAL NOT NULL,
    call_sid TEXT UNIQUE,
    ended_at REAL,
    outcome TEXT,
    code INTEGER,
    seconds INTEGER,
    answered_by TEXT
);
CREATE UNIQUE INDEX one_open_attempt ON attempts (number) WHERE outcome IS NULL;
CREATE TABLE do_not_call (number TEXT PRIMARY KEY, since REAL NOT NULL);
"""
_COLUMNS = "key, number, asked_at, call_sid, ended_at, outcome, code, seconds, answered_by"


class CampaignState:
    """The attempts of one campaign.

    Args:
        path: The file, made if there is none.

    Raises:
        ConfigurationError: It cannot be opened, is none of a campaign's, or another process works
            with it.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            # For its owner alone: it holds whom one calls.
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            self._file = sqlite3.connect(
                # The time is for another process that is just about to end.
                path,
                timeout=0.5,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, sqlite3.Error) as error:
            raise self._refusal(error) from error
        try:
            self._open()
        except sqlite3.Error as error:
            self._file.close()
            raise self._refusal(error) from error

    def _open(self) -> None:
        self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._file.execute("PRAGMA journal_mode = WAL")
        # What is committed outlives a power cut as well, and no call is placed before.
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.execute("BEGIN EXCLUSIVE")
        (version,) = self._file.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA.split(";\n"):
                self._file.execute(statement)
            self._file.execute(f"PRAGMA user_version = {_VERSION}")
        self._file.execute("COMMIT")
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError("a file of another version")

    def _refusal(self, error: Exception) -> ConfigurationError:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return ConfigurationError(
                f"expected a campaign that does not run already, got one whose state "
                f"{self._path} another process holds: end that one first"
            )
        return ConfigurationError(
            f"expected a campaign's state at {self._path}, got {error}: name another file"
        )

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def attempts(self) -> Sequence[Attempt]:
        """What was done so far, in its order."""
        rows = self._file.execute(f"SELECT {_COLUMNS} FROM attempts ORDER BY key")  # noqa: S608
        return [
            Attempt(
                key=key,
                number=number,
                asked_at=asked_at,
                call_sid=call_sid,
                ended_at=ended_at,
                outcome=None if outcome is None else Outcome(outcome),
                code=code,
                seconds=seconds,
                answered_by=answered_by,
            )
            for (
                key, number, asked_at, call_sid, ended_at, outcome, code, seconds, answered_by
            ) in rows
        ]  # fmt: skip

    def ask(self, number: str, asked_at: float) -> Attempt:
        """Notes that Twilio is about to be asked for a call."""
        added = self._file.execute(
            "INSERT INTO attempts (number, asked_at) VALUES (?, ?)", (number, asked_at)
        )
        return Attempt(key=added.lastrowid or 0, number=number, asked_at=asked_at)

    def name(self, attempt: Attempt, call_sid: str) -> None:
        """Notes which call an attempt is."""
        self._file.execute(
            "UPDATE attempts SET call_sid = ? WHERE key = ?", (call_sid, attempt.key)
        )

    def end(self, attempt: Attempt) -> None:
        """Notes what came of an attempt."""
        self._file.execute(
            "UPDATE attempts SET call_sid = ?, ended_at = ?, outcome = ?, code = ?, seconds = ?, "
            "answered_by = ? WHERE key = ?",
            (
                attempt.call_sid,
                attempt.ended_at,
                attempt.outcome,
                attempt.code,
                attempt.seconds,
                attempt.answered_by,
                attempt.key,
            ),
        )

    def forget(self, attempt: Attempt) -> None:
        """Notes that no call came of an attempt."""
        self._file.execute("DELETE FROM attempts WHERE key = ?", (attempt.key,))

    def do_not_call(self, number: str) -> None:
        """Notes that a number is not called any more."""
        self._file.execute(
            "INSERT OR IGNORE INTO do_not_call (number, since) VALUES (?, ?)",
            (number, time.time()),
        )

    def barred(self) -> frozenset[str]:
        """The numbers that are not called any more."""
        return frozenset(
            number for (number,) in self._file.execute("SELECT number FROM do_not_call")
        )
