"""A register in a file, for the workers of one machine."""

import asyncio
import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from twilio_frames.fleet.register import (
    KEEP_SECS,
    LARGEST_NOTE,
    MOST_CALLS,
    MOST_NOTES,
    QUICK_SECS,
    Claim,
    Lease,
    RegisterError,
    Renewal,
    Standing,
    StreamKind,
    Ticket,
    digest,
    fits,
)

__all__ = ["SqliteRegister"]

_Value = TypeVar("_Value")
_Step = Callable[[sqlite3.Connection], Any]
_MOST_AT_ONCE = 64
"""Steps that are written in one go."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS workers (name TEXT PRIMARY KEY, lease BLOB, until REAL);
CREATE TABLE IF NOT EXISTS tickets (
    sid TEXT PRIMARY KEY, token TEXT, worker TEXT, kind TEXT, base_url TEXT, until REAL,
    fence INTEGER DEFAULT 0);
CREATE INDEX IF NOT EXISTS tickets_by_worker ON tickets (worker);
CREATE TABLE IF NOT EXISTS calls (
    sid TEXT PRIMARY KEY, owner TEXT DEFAULT '', fence INTEGER DEFAULT 0, ended TEXT DEFAULT '',
    failures INTEGER DEFAULT 0, quick_losses INTEGER DEFAULT 0, taken_at REAL DEFAULT 0,
    snapshot BLOB, progress BLOB DEFAULT x'', until REAL, saved INTEGER DEFAULT 0,
    named TEXT DEFAULT '');
CREATE TABLE IF NOT EXISTS notes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, sid TEXT, key TEXT, body BLOB, UNIQUE (sid, key));
"""


_ALL_OF_IT = """
SELECT tickets.fence, calls.saved, calls.named FROM workers, tickets, calls, notes LIMIT 0
"""
_ADDED = (
    "tickets ADD fence INTEGER DEFAULT 0",
    "calls ADD saved INTEGER DEFAULT 0",
    "calls ADD named TEXT DEFAULT ''",
)


class SqliteRegister:
    """See :class:`~twilio_frames.fleet.register.Register`.

    Threads of its own ask the file, so that the event loop never waits for the disk: one writes, in
    turn with the other workers; one reads, and waits for nobody. What is written survives the end
    of any worker; it need not survive that of the machine, so nothing is flushed.

    Args:
        path: The file; made, for this user alone, if it is not there. Not on a network drive.
        patience_secs: How long a step may wait for those of others.
    """

    def __init__(self, path: Path, *, patience_secs: float = 0.4) -> None:
        self._path = path
        self._patience = patience_secs
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="register")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="register-reader")
        self._waiting: deque[tuple[_Step, Future[Any]]] = deque()
        self._opened: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None

    def __str__(self) -> str:
        return f"the register's file {str(self._path)!r}"

    async def _read(self, step: "Callable[[sqlite3.Connection], _Value]") -> _Value:
        """Looks something up by one statement, ahead of what is to be written."""

        def run() -> _Value:
            if self._reading is None:
                self._reading = self._connect()
            return step(self._reading)

        return await self._answer(self._reader.submit, run)

    async def _step(self, step: "Callable[[sqlite3.Connection], _Value]") -> _Value:
        """Carries one step out, whole or not at all; in one go with others that wait."""

        def submit(one: "Callable[[sqlite3.Connection], _Value]") -> "Future[_Value]":
            future: Future[_Value] = Future()
            self._waiting.append((one, future))
            self._thread.submit(self._carry_out)
            return future

        return await self._answer(submit, step)

    async def _answer(
        self, submit: "Callable[[Callable[..., _Value]], Future[_Value]]", work: Any
    ) -> _Value:
        try:
            return await asyncio.wrap_future(submit(work))
        except (sqlite3.Error, OSError, RuntimeError) as error:
            raise RegisterError(f"the register's file: {type(error).__name__}") from error

    def _carry_out(self) -> None:
        """Writes what waits: a turn among all who write costs more than what one has to write."""
        waiting = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]
        self._write([one for one in waiting if one[1].set_running_or_notify_cancel()])

    def _write(self, steps: "list[tuple[_Step, Future[Any]]]") -> None:
        try:
            if self._opened is None:
                self._opened = self._connect()
            values = _together(self._opened, [step for step, _ in steps])
        except BaseException as error:
            if len(steps) > 1 and not isinstance(error, sqlite3.OperationalError):
                # What is wrong with one of them is none of the others' business.
                for one in steps:
                    self._write([one])
                return
            for _, told in steps:
                told.set_exception(error)
            return
        for (_, told), value in zip(steps, values, strict=True):
            told.set_result(value)

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        opened = sqlite3.connect(
            self._path, timeout=self._patience, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(opened, self._patience)
        except BaseException:
            # The next step opens it anew.
            opened.close()
            raise
        return opened

    async def renew(self, lease: Lease, calls: Mapping[str, int], secs: float) -> Renewal:
        """A worker lives, and has these calls."""

        def step(db: sqlite3.Connection) -> Renewal:
            now = time.time()
            _forget_old(db, now)
            db.execute(
                "INSERT OR REPLACE INTO workers VALUES (?, ?, ?)",
                (lease.name, lease.encoded(), now + secs),
            )
            for call_sid, fence in calls.items():
                _open(db, call_sid, now)
                db.execute(
                    "UPDATE calls SET owner = ?, fence = ?, until = ? WHERE sid = ? AND fence <= ?",
                    (lease.name, fence, now + KEEP_SECS, call_sid, fence),
                )
            lost = frozenset(sid for sid, fence in calls.items() if _fence(db, sid) > fence)
            notes: dict[str, tuple[bytes, ...]] = {}
            for sid, body in db.execute("SELECT sid, body FROM notes ORDER BY number"):
                if sid in calls and sid not in lost:
                    notes[sid] = (*notes.get(sid, ()), body)
            return Renewal(lost=lost, notes=notes)

        return await self._step(step)

    async def leave(self, worker: str) -> None:
        """A worker is gone."""
        await self._step(lambda db: db.execute("DELETE FROM workers WHERE name = ?", (worker,)))

    async def workers(self) -> Sequence[Lease]:
        """Those whose lease runs."""

        def step(db: sqlite3.Connection) -> list[Lease]:
            rows = db.execute("SELECT lease FROM workers WHERE until > ?", (time.time(),))
            return Lease.decoded(row[0] for row in rows)

        return await self._read(step)

    async def issue(self, ticket: Ticket, secs: float, room: int | None = None) -> bool:
        """Let a stream come."""

        def step(db: sqlite3.Connection) -> bool:
            now = time.time()
            db.execute("DELETE FROM tickets WHERE sid = ?", (ticket.call_sid,))
            has_slot = room is None or ticket.kind is StreamKind.BACK
            if not has_slot and _reserved(db, ticket.worker, now) >= (room or 0):
                return False
            token = digest(ticket.token)
            _open(db, ticket.call_sid, now)
            db.execute("UPDATE calls SET named = ? WHERE sid = ?", (ticket.worker, ticket.call_sid))
            db.execute(
                "INSERT INTO tickets (sid, token, worker, kind, base_url, until, fence)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(ticket.call_sid, token, ticket.worker, ticket.kind, ticket.base_url),
                    *(now + secs, _fence(db, ticket.call_sid)),
                ),
            )
            return True

        return await self._step(step)

    async def reserved(self, worker: str) -> int:
        """How many streams are on their way."""
        return await self._read(lambda db: _reserved(db, worker, time.time()))

    async def redeem(self, token: str, call_sid: str, worker: str) -> Claim | None:
        """Use a token up, and take its call."""

        def step(db: sqlite3.Connection) -> Claim | None:
            now = time.time()
            found = db.execute(
                "SELECT kind, base_url, fence FROM tickets"
                " WHERE sid = ? AND token = ? AND until > ?",
                (call_sid, digest(token), now),
            ).fetchone()
            if found is None:
                return None
            kind, base_url = StreamKind(found[0]), found[1]
            _open(db, call_sid, now)
            owner, fence, snapshot, progress, saved, taken_at, until = db.execute(
                "SELECT owner, fence, snapshot, progress, saved, taken_at, until FROM calls"
                " WHERE sid = ?",
                (call_sid,),
            ).fetchone()
            if fence != found[2]:
                return None
            if kind is StreamKind.BACK and owner != worker:
                return None
            db.execute("DELETE FROM tickets WHERE sid = ?", (call_sid,))
            if kind is StreamKind.BACK:
                return Claim(kind=kind, base_url=base_url, fence=fence)
            is_quick = fence > 0 and now - taken_at < QUICK_SECS
            db.execute(
                "UPDATE calls SET owner = ?, fence = fence + 1, ended = '', taken_at = ?,"
                " quick_losses = CASE WHEN ? THEN quick_losses + 1 ELSE 0 END, until = ?"
                " WHERE sid = ?",
                (worker, now, is_quick, now + KEEP_SECS, call_sid),
            )
            return Claim(
                kind=kind,
                base_url=base_url,
                fence=fence + 1,
                snapshot=snapshot,
                progress=progress,
                saved=saved,
                notes=_take_notes(db, call_sid),
                silent_secs=KEEP_SECS - (until - now) if fence else 0.0,
            )

        return await self._step(step)

    async def void(self, call_sid: str) -> None:
        """No stream of this call is to come."""
        await self._step(lambda db: db.execute("DELETE FROM tickets WHERE sid = ?", (call_sid,)))

    async def save(
        self, call_sid: str, fence: int, snapshot: bytes | None, progress: bytes, number: int
    ) -> bool:
        """Keep a snapshot."""
        number = number if fits(snapshot, progress) else 0

        def step(db: sqlite3.Connection) -> bool:
            changed = db.execute(
                "UPDATE calls SET until = ?,"
                " snapshot = CASE WHEN saved < ? THEN coalesce(?, snapshot) ELSE snapshot END,"
                " progress = CASE WHEN saved < ? THEN ? ELSE progress END,"
                " saved = max(saved, ?) WHERE sid = ? AND fence = ?",
                (
                    *(time.time() + KEEP_SECS, number, snapshot, number, progress, number),
                    *(call_sid, fence),
                ),
            )
            return changed.rowcount > 0

        return await self._step(step)

    async def end(
        self, call_sid: str, fence: int, reason: str, *, goes_on: bool, has_failed: bool
    ) -> bool:
        """A call's bot has ended."""

        def step(db: sqlite3.Connection) -> bool:
            until = time.time() + KEEP_SECS
            changed = db.execute(
                "UPDATE calls SET ended = ?, until = ?,"
                " failures = failures + (? AND ended = ''),"
                " snapshot = CASE WHEN ? THEN snapshot END,"
                " progress = CASE WHEN ? THEN progress ELSE x'' END WHERE sid = ? AND fence = ?",
                (reason, until, has_failed, goes_on, goes_on, call_sid, fence),
            )
            return changed.rowcount > 0

        return await self._step(step)

    async def forget(self, call_sid: str) -> None:
        """A call is over."""

        def step(db: sqlite3.Connection) -> None:
            for table in ("tickets", "calls", "notes"):
                db.execute(f"DELETE FROM {table} WHERE sid = ?", (call_sid,))  # noqa: S608 - names

        await self._step(step)

    async def standing(self, call_sid: str) -> Standing | None:
        """How a call stands."""

        def step(db: sqlite3.Connection) -> Standing | None:
            now = time.time()
            row = db.execute(
                "SELECT owner, fence, ended, failures, named, snapshot IS NOT NULL,"
                " CASE WHEN ? - taken_at < ? THEN quick_losses ELSE 0 END"
                " FROM calls WHERE sid = ? AND fence > 0 AND until > ?",
                (now, QUICK_SECS, call_sid, now),
            ).fetchone()
            if row is None:
                return None
            names = ("owner", "fence", "ended", "failures", "named", "has_snapshot", "quick_losses")
            known: dict[str, Any] = dict(zip(names, row, strict=True))
            known["has_snapshot"] = bool(known["has_snapshot"])
            return Standing(**known)

        return await self._read(step)

    async def note(self, call_sid: str, key: str, body: bytes) -> bool:
        """Keep a callback."""
        if len(body) > LARGEST_NOTE:
            return False

        def step(db: sqlite3.Connection) -> bool:
            _open(db, call_sid, time.time())
            held = db.execute("SELECT count(*) FROM notes WHERE sid = ?", (call_sid,)).fetchone()
            if held[0] >= MOST_NOTES:
                return False
            added = db.execute(
                "INSERT OR IGNORE INTO notes (sid, key, body) VALUES (?, ?, ?)",
                (call_sid, key, body),
            )
            return added.rowcount > 0

        return await self._step(step)

    async def strike(self, call_sid: str, notes: Sequence[bytes]) -> None:
        """Keep these callbacks no longer."""

        def step(db: sqlite3.Connection) -> None:
            struck = [(call_sid, body) for body in notes]
            db.executemany("DELETE FROM notes WHERE sid = ? AND body = ?", struck)

        await self._step(step)

    async def close(self) -> None:
        """Close the file."""

        def close() -> None:
            for opened in filter(None, (self._reading, self._opened)):
                opened.close()
            self._reading = self._opened = None

        with contextlib.suppress(RegisterError):
            await self._answer(self._reader.submit, lambda: None)
            await self._answer(self._thread.submit, close)
        for thread in (self._reader, self._thread):
            thread.shutdown(wait=False)


def _together(db: sqlite3.Connection, steps: "Sequence[_Step]") -> list[Any]:
    if not steps:
        return []
    db.execute("BEGIN IMMEDIATE")
    try:
        values = [step(db) for step in steps]
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return values


def _prepare(db: sqlite3.Connection, patience_secs: float) -> None:
    db.execute("PRAGMA synchronous=OFF")
    with contextlib.suppress(sqlite3.OperationalError):
        # Whoever finds all of it waits for nobody.
        db.execute(_ALL_OF_IT)
        return
    until = time.monotonic() + patience_secs
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:
            # Another worker is at it: for this alone SQLite does not wait by itself.
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)
    # In one go, as two workers may begin at once.
    db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
    for added in _ADDED:
        # A file of an earlier version lacks them.
        with contextlib.suppress(sqlite3.OperationalError):
            db.execute(f"ALTER TABLE {added}")


def _open(db: sqlite3.Connection, call_sid: str, now: float) -> None:
    db.execute("DELETE FROM calls WHERE sid = ? AND until <= ?", (call_sid, now))
    db.execute(
        "INSERT OR IGNORE INTO calls (sid, until) VALUES (?, ?)", (call_sid, now + KEEP_SECS)
    )


def _fence(db: sqlite3.Connection, call_sid: str) -> int:
    return db.execute("SELECT fence FROM calls WHERE sid = ?", (call_sid,)).fetchone()[0]


def _reserved(db: sqlite3.Connection, worker: str, now: float) -> int:
    return db.execute(
        "SELECT count(*) FROM tickets WHERE worker = ? AND kind != 'back' AND until > ?",
        (worker, now),
    ).fetchone()[0]


def _take_notes(db: sqlite3.Connection, call_sid: str) -> tuple[bytes, ...]:
    bodies = db.execute("SELECT body FROM notes WHERE sid = ? ORDER BY number", (call_sid,))
    taken = tuple(row[0] for row in bodies.fetchall())
    db.execute("DELETE FROM notes WHERE sid = ?", (call_sid,))
    return taken


def _forget_old(db: sqlite3.Connection, now: float) -> None:
    for table in ("workers", "tickets", "calls"):
        db.execute(f"DELETE FROM {table} WHERE until <= ?", (now,))  # noqa: S608 - names
    db.execute(
        "DELETE FROM calls WHERE sid IN"
        " (SELECT sid FROM calls ORDER BY until DESC LIMIT -1 OFFSET ?)",
        (MOST_CALLS,),
    )
    db.execute("DELETE FROM notes WHERE sid NOT IN (SELECT sid FROM calls)")
