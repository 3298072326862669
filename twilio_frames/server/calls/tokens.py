"""One-use tokens, for whoever can show no key: each opens one thing, once, and soon."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["StreamTokens"]


class StreamTokens:
    """Tokens for streams that are to come, each for one thing, one use and a short time.

    Any number may be issued for one thing: who asks for one takes none away from others.

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

    def issue(self, what: str) -> str:
        """Make a token for something, a call say."""
        # All live equally long, so the oldest stand first.
        while len(self._issued) >= self._capacity:
            self._issued.popitem(last=False)
        token = secrets.token_urlsafe(32)
        self._issued[token] = what, self._clock() + self._lifetime
        return token

    def redeem(self, token: str, what: str) -> bool:
        """Tell whether a token is for this, and use it up if so."""
        opens, until = self._issued.get(token, (None, 0.0))
        if opens != what or until <= self._clock():
            return False
        del self._issued[token]
        return True
