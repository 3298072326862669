"""One-use tokens: a stream is taken only if this server's TwiML asked for it."""

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["StreamTokens"]


class StreamTokens:
    """Tokens for streams that are to come, each for one call, one use and a short time.

    The signature of an upgrade is the same for every call, since its URL is, so it cannot tell a
    new stream from a repeated one: the token does.

    Args:
        lifetime: Seconds a token may be used.
        capacity: Tokens kept at most; the oldest are forgotten.
        clock: Seconds, never running backwards.
    """

    def __init__(
        self,
        *,
        lifetime: float = 60.0,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._lifetime = lifetime
        self._capacity = capacity
        self._clock = clock
        self._issued: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        """How many streams may yet come."""
        self._forget_expired()
        return len(self._issued)

    def issue(self, call_sid: str) -> str:
        """Make the token for a call's next stream; an earlier unused one is void."""
        self._forget_expired()
        self._issued.pop(call_sid, None)
        if len(self._issued) >= self._capacity:
            self._issued.popitem(last=False)
        token = secrets.token_urlsafe(32)
        self._issued[call_sid] = (token, self._clock() + self._lifetime)
        return token

    def redeem(self, token: str, call_sid: str) -> bool:
        """Tell whether a token is this call's, and use it up if so."""
        self._forget_expired()
        expected, _ = self._issued.get(call_sid, ("", 0.0))
        given = token.encode("utf-8", "surrogatepass")
        # An empty token is compared as well, so that an unknown call takes as long as a known one.
        matches = hmac.compare_digest(expected.encode(), given) and expected != ""
        if matches:
            del self._issued[call_sid]
        return matches

    def void(self, call_sid: str) -> None:
        """Forget a call's token, if it has one."""
        self._issued.pop(call_sid, None)

    def _forget_expired(self) -> None:
        # All live equally long, so the oldest stand first.
        while self._issued:
            call_sid, (_, expiry) = next(iter(self._issued.items()))
            if expiry > self._clock():
                return
            del self._issued[call_sid]
