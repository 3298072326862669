import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fleet.conftest import RedisServer, needs_redis
from tests.fleet.register_suite import FIRST, RegisterSuite
from twilio_frames.errors import ConfigurationError
from twilio_frames.fleet.redis import RedisRegister
from twilio_frames.fleet.register import Register, RegisterError

pytestmark = pytest.mark.real_time


def test_an_address_that_is_none_of_redis_is_refused():
    with pytest.raises(ConfigurationError, match="expected a register such as redis://"):
        RedisRegister("http://127.0.0.1")


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("rediss://user:secret@redis.example.com:6380/3", "redis.example.com:6380, database 3"),
        ("redis://:secret@10.0.0.5", "10.0.0.5:6379, database 0"),
        ("unix://user:secret@/run/redis.sock?db=2", "/run/redis.sock, database 2"),
    ],
)
def test_it_says_where_it_is_and_keeps_its_credentials(url: str, named: str):
    assert str(RedisRegister(url)) == f"Redis at {named}"


async def test_a_redis_that_is_not_there_is_an_error_at_once(tmp_path: Path):
    register = RedisRegister(f"unix://{tmp_path}/nothing")
    with pytest.raises(RegisterError):
        await register.workers()
    await register.close()


@needs_redis
class TestRedis(RegisterSuite):
    @pytest.fixture
    async def register(self, redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[Register]:
        made = RedisRegister(redis_server.url, prefix=tmp_path.name)
        yield made
        await made.close()

    async def test_one_that_answers_nobody_is_given_up_soon(self, redis_server: RedisServer):
        register = RedisRegister(redis_server.url, patience_secs=0.1)
        await register.renew(FIRST, {}, 60)
        redis_server.halt()
        try:
            async with asyncio.timeout(2):
                with pytest.raises(RegisterError):
                    await register.workers()
        finally:
            redis_server.go_on()
        assert FIRST in await register.workers()
        await register.close()

    async def test_fleets_with_prefixes_of_their_own_do_not_meet(self, redis_server: RedisServer):
        one = RedisRegister(redis_server.url, prefix="one")
        other = RedisRegister(redis_server.url, prefix="other")
        await one.renew(FIRST, {}, 60)
        assert list(await other.workers()) == []
        await one.close()
        await other.close()
