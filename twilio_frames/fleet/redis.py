"""A register in Redis, for workers of many machines.

One Redis, or one with replicas and Sentinel behind one address; all keys have one hash tag, so that
a cluster keeps them together. Each step is a script, which Redis carries out whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from twilio_frames.errors import ConfigurationError, brought_by
from twilio_frames.fleet.register import (
    KEEP_SECS,
    LARGEST_NOTE,
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

__all__ = ["RedisRegister"]

_KEEP_MS = round(KEEP_SECS * 1000)

_NOW = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
"""

# Keys of each script: those of one call, or of one worker, as _call() and _worker() name them.
_RENEW = (
    _NOW
    + """
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
local lost, notes = {}, {}
for i = 3, #KEYS do
  local fence = tonumber(ARGV[i + 3])
  local known = redis.call('HMGET', KEYS[i], 'fence', 'noted')
  if tonumber(known[1] or 0) > fence then
    lost[#lost + 1] = i - 3
  else
    redis.call('HSET', KEYS[i], 'owner', ARGV[1], 'fence', fence)
    redis.call('PEXPIRE', KEYS[i], ARGV[4])
    if known[2] then
      notes[#notes + 1] = {i - 3, redis.call('LRANGE', ARGV[5] .. known[2], 0, -1)}
    end
  end
end
return {lost, notes}
"""
)
_ISSUE = (
    _NOW
    + """
local before = redis.call('HGET', KEYS[1], 'worker')
if before then
  redis.call('ZREM', ARGV[7] .. before, ARGV[1])
  redis.call('DEL', KEYS[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local takes_slot = ARGV[4] ~= 'back'
if takes_slot and ARGV[6] ~= '' and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then
  return 0
end
redis.call('HSET', KEYS[1], 'token', ARGV[2], 'worker', ARGV[3], 'kind', ARGV[4], 'base', ARGV[8],
           'fence', redis.call('HGET', KEYS[3], 'fence') or 0)
redis.call('HSET', KEYS[3], 'named', ARGV[3])
if redis.call('PTTL', KEYS[3]) < 0 then redis.call('PEXPIRE', KEYS[3], ARGV[9]) end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
if takes_slot then
  redis.call('ZADD', KEYS[2], now + ARGV[5], ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[9])
end
return 1
"""
)
_RESERVED = (
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZCARD', KEYS[1])
"""
)
_REDEEM = (
    _NOW
    + """
local ticket = redis.call('HMGET', KEYS[1], 'token', 'worker', 'kind', 'base', 'fence')
if ticket[1] ~= ARGV[2] then return false end
if ticket[5] and ticket[5] ~= (redis.call('HGET', KEYS[2], 'fence') or '0') then return false end
local is_back = ticket[3] == 'back'
if is_back and redis.call('HGET', KEYS[2], 'owner') ~= ARGV[3] then return false end
redis.call('DEL', KEYS[1])
redis.call('ZREM', ARGV[6] .. ticket[2], ARGV[1])
if is_back then
  return {ticket[3], ticket[4], tonumber(redis.call('HGET', KEYS[2], 'fence')), false, '', 0,
          {}, 0}
end
local call = redis.call('HMGET', KEYS[2],
                        'fence', 'taken', 'quick', 'snapshot', 'progress', 'saved')
local fence, quick, silent = tonumber(call[1] or 0), 0, 0
if fence > 0 then silent = ARGV[4] - redis.call('PTTL', KEYS[2]) end
if fence > 0 and now - tonumber(call[2] or 0) < tonumber(ARGV[5]) then
  quick = (call[3] or 0) + 1
end
redis.call('HSET', KEYS[2], 'owner', ARGV[3], 'fence', fence + 1, 'ended', '', 'taken', now,
           'quick', quick)
redis.call('HDEL', KEYS[2], 'noted')
redis.call('PEXPIRE', KEYS[2], ARGV[4])
local notes = redis.call('LRANGE', KEYS[3], 0, -1)
redis.call('DEL', KEYS[3], KEYS[4])
return {ticket[3], ticket[4], fence + 1, call[4], call[5] or '', tonumber(call[6] or 0), notes,
        silent}
"""
)
_VOID = """
local before = redis.call('HGET', KEYS[1], 'worker')
if before then redis.call('ZREM', ARGV[2] .. before, ARGV[1]) end
redis.call('DEL', unpack(KEYS))
"""
_SAVE = """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
if tonumber(redis.call('HGET', KEYS[1], 'saved') or 0) >= tonumber(ARGV[6]) then return 1 end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'snapshot', ARGV[2]) end
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'progress', ARGV[3], 'saved', ARGV[6]) end
return 1
"""
_END = """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
if (redis.call('HGET', KEYS[1], 'ended') or '') == '' then
  redis.call('HINCRBY', KEYS[1], 'failures', ARGV[4])
end
redis.call('HSET', KEYS[1], 'ended', ARGV[2])
if ARGV[3] == '0' then redis.call('HDEL', KEYS[1], 'snapshot', 'progress') end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
"""
_STANDING = (
    _NOW
    + """
local call = redis.call('HMGET', KEYS[1],
                        'owner', 'fence', 'ended', 'failures', 'quick', 'named', 'taken')
if now - tonumber(call[7] or 0) >= tonumber(ARGV[1]) then call[5] = 0 end
call[7] = redis.call('HEXISTS', KEYS[1], 'snapshot')
return call
"""
)
_NOTE = """
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
-- Its owner, should there be one, sees it there with each renewal.
redis.call('HSET', KEYS[3], 'noted', ARGV[5])
if redis.call('PTTL', KEYS[3]) < 0 then redis.call('PEXPIRE', KEYS[3], ARGV[4]) end
return 1
"""
_STRIKE = """
for _, note in ipairs(ARGV) do redis.call('LREM', KEYS[1], 1, note) end
if redis.call('LLEN', KEYS[1]) == 0 then redis.call('HDEL', KEYS[2], 'noted') end
"""


class RedisRegister:
    """See :class:`~twilio_frames.fleet.register.Register`.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, with user, password and database.
        prefix: What stands before each key: fleets that share a Redis need one each.
        patience_secs: How long connecting, and each answer, may take. The client's own defaults
            wait for a silent server for a minute.

    Raises:
        ConfigurationError: The URL is none of Redis's.
        MissingExtraError: The package ``redis`` is not installed.
    """

    _MOST_CONNECTIONS = 16

    def __init__(
        self, url: str, *, prefix: str = "twilio-frames", patience_secs: float = 0.4
    ) -> None:
        with brought_by("redis"):
            import redis.asyncio as client
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
        self._errors = (RedisError, OSError, TimeoutError)
        self._prefix = f"{{{prefix}}}:"
        try:
            pools: Any = client.BlockingConnectionPool
            pool = pools.from_url(
                url,
                max_connections=self._MOST_CONNECTIONS,
                timeout=patience_secs,
                socket_timeout=patience_secs,
                socket_connect_timeout=patience_secs,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            raise ConfigurationError(
                "expected a register such as redis://host:6379/0, got a URL that Redis does not "
                "take: give scheme redis, rediss or unix, host, port and database"
            ) from None
        self._redis: Any = client.Redis.from_pool(pool)
        self._scripts: dict[str, Any] = {}

    def __str__(self) -> str:
        """Its place, without user and password."""
        known: Mapping[str, Any] = self._redis.connection_pool.connection_kwargs
        host = f"{known.get('host', 'localhost')}:{known.get('port', 6379)}"
        return f"Redis at {known.get('path') or host}, database {known.get('db', 0)}"

    async def _run(self, script: str, keys: Sequence[str], *given: object) -> Any:
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._redis.register_script(script)
        try:
            return await known(keys=keys, args=given)
        except self._errors as error:
            raise RegisterError(f"Redis: {type(error).__name__}") from error

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}{kind}:{name}"

    async def renew(self, lease: Lease, calls: Mapping[str, int], secs: float) -> Renewal:
        """A worker lives, and has these calls."""
        sids = list(calls)
        keys = [self._key("worker", lease.name), self._prefix + "workers"]
        keys += [self._key("call", sid) for sid in sids]
        notes = self._key("notes", "")
        given = [lease.name, lease.encoded(), _ms(secs), _KEEP_MS, notes, *calls.values()]
        lost, noted = await self._run(_RENEW, keys, *given)
        return Renewal(
            lost=frozenset(sids[int(index)] for index in lost),
            notes={sids[int(index)]: tuple(bodies) for index, bodies in noted if bodies},
        )

    async def leave(self, worker: str) -> None:
        """A worker is gone."""
        keys = [self._key("worker", worker), self._prefix + "workers"]
        await self._run(
            "redis.call('DEL', KEYS[1]) redis.call('ZREM', KEYS[2], ARGV[1])", keys, worker
        )

    async def workers(self) -> Sequence[Lease]:
        """Those whose lease runs."""
        listed = _NOW + "return redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')"
        names = await self._run(listed, [self._prefix + "workers"])
        if not names:
            return []
        keys = [self._key("worker", name.decode()) for name in names]
        leases = await self._run("return redis.call('MGET', unpack(KEYS))", keys)
        return Lease.decoded(lease for lease in leases if lease)

    async def issue(self, ticket: Ticket, secs: float, room: int | None = None) -> bool:
        """Let a stream come."""
        keys = [
            self._key("ticket", ticket.call_sid),
            self._key("reserved", ticket.worker),
            self._key("call", ticket.call_sid),
        ]
        issued = await self._run(
            _ISSUE,
            keys,
            ticket.call_sid,
            digest(ticket.token),
            ticket.worker,
            ticket.kind,
            _ms(secs),
            "" if room is None else room,
            self._key("reserved", ""),
            ticket.base_url,
            max(_KEEP_MS, _ms(secs)),
        )
        return bool(issued)

    async def reserved(self, worker: str) -> int:
        """How many streams are on their way."""
        return int(await self._run(_RESERVED, [self._key("reserved", worker)]))

    async def redeem(self, token: str, call_sid: str, worker: str) -> Claim | None:
        """Use a token up, and take its call."""
        keys = [self._key(kind, call_sid) for kind in ("ticket", "call", "notes", "notekeys")]
        quick_ms = _ms(QUICK_SECS)
        reserved = self._key("reserved", "")
        found = await self._run(
            _REDEEM, keys, call_sid, digest(token), worker, _KEEP_MS, quick_ms, reserved
        )
        if found is None:
            return None
        kind, base_url, fence, snapshot, progress, saved, notes, silent_ms = found
        return Claim(
            kind=StreamKind(kind.decode()),
            base_url=base_url.decode(),
            fence=int(fence),
            snapshot=snapshot,
            progress=progress,
            saved=int(saved),
            notes=tuple(notes),
            silent_secs=int(silent_ms) / 1000,
        )

    async def void(self, call_sid: str) -> None:
        """No stream of this call is to come."""
        keys = [self._key("ticket", call_sid)]
        await self._run(_VOID, keys, call_sid, self._key("reserved", ""))

    async def save(
        self, call_sid: str, fence: int, snapshot: bytes | None, progress: bytes, number: int
    ) -> bool:
        """Keep a snapshot."""
        is_kept = fits(snapshot, progress)
        kept = (snapshot or b"", progress) if is_kept else (b"", b"")
        given = (fence, *kept, int(is_kept), _KEEP_MS, number)
        return bool(await self._run(_SAVE, [self._key("call", call_sid)], *given))

    async def end(
        self, call_sid: str, fence: int, reason: str, *, goes_on: bool, has_failed: bool
    ) -> bool:
        """A call's bot has ended."""
        given = (fence, reason, int(goes_on), int(has_failed), _KEEP_MS)
        return bool(await self._run(_END, [self._key("call", call_sid)], *given))

    async def forget(self, call_sid: str) -> None:
        """A call is over."""
        kinds = ("ticket", "call", "notes", "notekeys")
        keys = [self._key(kind, call_sid) for kind in kinds]
        await self._run(_VOID, keys, call_sid, self._key("reserved", ""))

    async def standing(self, call_sid: str) -> Standing | None:
        """How a call stands."""
        found = await self._run(_STANDING, [self._key("call", call_sid)], _ms(QUICK_SECS))
        owner, fence, ended, failures, quick, named, has_snapshot = found
        if not int(fence or 0):
            return None
        return Standing(
            owner=owner.decode(),
            fence=int(fence),
            ended=(ended or b"").decode(),
            failures=int(failures or 0),
            quick_losses=int(quick or 0),
            has_snapshot=bool(has_snapshot),
            named=(named or b"").decode(),
        )

    async def note(self, call_sid: str, key: str, body: bytes) -> bool:
        """Keep a callback."""
        if len(body) > LARGEST_NOTE:
            return False
        keys = [self._key(kind, call_sid) for kind in ("notes", "notekeys", "call")]
        return bool(await self._run(_NOTE, keys, key, body, MOST_NOTES, _KEEP_MS, call_sid))

    async def strike(self, call_sid: str, notes: Sequence[bytes]) -> None:
        """Keep these callbacks no longer."""
        keys = [self._key("notes", call_sid), self._key("call", call_sid)]
        await self._run(_STRIKE, keys, *notes)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()


def _ms(secs: float) -> int:
    return max(1, round(secs * 1000))
