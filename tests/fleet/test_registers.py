import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest
from loguru import logger

from tests.fleet.register_suite import FIRST, SECOND, RegisterSuite, taken, ticket
from tests.waiting import others_run, time_passes
from twilio_frames.fleet.memory import MemoryRegister
from twilio_frames.fleet.register import KEEP_SECS, Lease, Register, RegisterError
from twilio_frames.fleet.sqlite import SqliteRegister
from twilio_frames.server.fleet.reach import Reach


class TestMemory(RegisterSuite):
    @pytest.fixture
    def register(self) -> Register:
        return MemoryRegister()

    async def test_nothing_is_held_of_calls_that_nobody_speaks_of_any_more(self):
        register = MemoryRegister()
        for number in range(3):
            await taken(register, f"CA{number}")
            await time_passes(KEEP_SECS / 2)
        assert list(register._calls) == ["CA1", "CA2"]  # type: ignore[reportPrivateUsage]
        await register.save("CA1", 1, b"kept", b"", 1)
        await time_passes(KEEP_SECS * 0.75)
        await register.renew(FIRST, {}, 4.0)
        assert list(register._calls) == ["CA1"]  # type: ignore[reportPrivateUsage]


class TestSqlite(RegisterSuite):
    @pytest.fixture
    async def register(self, tmp_path: Path) -> AsyncIterator[Register]:
        made = SqliteRegister(tmp_path / "register.db")
        yield made
        await made.close()


def test_what_is_no_lease_hides_no_other():
    kept = [b"{", FIRST.encoded(), b"[]", b'{"calls": 1}', SECOND.encoded()]
    assert Lease.decoded(kept) == [FIRST, SECOND]


async def test_a_file_is_shared_by_those_who_open_it(tmp_path: Path):
    path = tmp_path / "new" / "register.db"
    one, other = SqliteRegister(path), SqliteRegister(path)
    await asyncio.gather(one.renew(FIRST, {}, 60), other.renew(SECOND, {}, 60))
    await one.issue(ticket(), 60)
    assert await other.redeem("token-of-CA1", "CA1", SECOND.name) is not None
    assert set(await one.workers()) == {FIRST, SECOND}
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    await one.close()
    await other.close()
    with pytest.raises(RegisterError):
        await one.workers()


async def test_whoever_asks_a_file_does_not_wait_for_those_who_write(tmp_path: Path):
    path = tmp_path / "register.db"
    register = SqliteRegister(path, patience_secs=0.01)
    await register.renew(FIRST, {}, 60)
    fence = await taken(register)
    await register.issue(ticket("CA2"), 60)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        standing = await register.standing("CA1")
        assert standing is not None
        assert standing.owner == FIRST.name
        assert await register.reserved(FIRST.name) == 1
        assert list(await register.workers()) == [FIRST]
        with pytest.raises(RegisterError):
            await register.save("CA1", fence, b"kept", b"", 1)
    await register.close()


async def test_what_waits_is_written_in_one_go_and_what_is_wrong_with_one_hurts_no_other(
    tmp_path: Path,
):
    register = SqliteRegister(tmp_path / "register.db")
    await register.renew(FIRST, {}, 60)
    goes, held = list[str](), threading.Event()
    opened = register._opened  # type: ignore[reportPrivateUsage]
    assert opened is not None
    opened.set_trace_callback(goes.append)
    register._thread.submit(held.wait)  # type: ignore[reportPrivateUsage]
    issued = [asyncio.ensure_future(register.issue(ticket(f"CA{n}"), 60)) for n in range(20)]
    given_up = asyncio.ensure_future(register.leave(FIRST.name))
    await others_run()
    given_up.cancel()
    held.set()
    assert await asyncio.gather(*issued) == [True] * 20
    assert goes.count("COMMIT") == 1
    assert list(await register.workers()) == [FIRST]
    written = asyncio.gather(
        register.void("CA1"), register.void("\udcff"), register.void("CA2"), return_exceptions=True
    )
    assert [type(one) for one in await written] == [type(None), UnicodeEncodeError, type(None)]
    assert await register.reserved(FIRST.name) == 18
    await register.close()


async def test_a_file_that_cannot_be_opened_is_an_error_of_the_registers(tmp_path: Path):
    (tmp_path / "file").write_text("")
    register = SqliteRegister(tmp_path / "file" / "register.db")
    with pytest.raises(RegisterError):
        await register.workers()
    await register.close()


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "somebody's own"])
async def test_the_log_says_which_register_does_not_answer(is_named: bool, tmp_path: Path):
    errors: list[str] = []
    sink = logger.add(errors.append, level="ERROR", format="{message}")

    class Own:
        async def workers(self) -> NoReturn:
            raise RegisterError("gone")

    (tmp_path / "file").write_text("")
    register: Any = SqliteRegister(tmp_path / "file" / "calls.db") if is_named else Own()
    await Reach(register, 1.0).ask(lambda one: one.workers(), otherwise=[])
    logger.remove(sink)

    (told,) = errors
    expected = f"the register's file '{tmp_path}/file/calls.db'" if is_named else "Own"
    assert told.startswith(f"{expected} does not answer, and this worker goes on without")


async def test_a_file_that_others_were_at_is_opened_when_they_are_done(tmp_path: Path):
    path = tmp_path / "register.db"
    register = SqliteRegister(path, patience_secs=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RegisterError):
            await register.renew(FIRST, {}, 60)
    await register.renew(FIRST, {}, 60)
    assert list(await register.workers()) == [FIRST]
    await register.close()


async def test_a_token_is_not_kept_as_it_is(tmp_path: Path):
    path = tmp_path / "register.db"
    register = SqliteRegister(path)
    await register.issue(ticket(token="what opens a stream"), 60)
    await register.close()
    kept = [file.read_bytes() for file in tmp_path.iterdir()]  # noqa: ASYNC240  # nothing waits
    assert not any(b"what opens" in each for each in kept)
