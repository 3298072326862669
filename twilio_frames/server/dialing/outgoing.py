"""The calls that are being placed: how many lines they hold, how fast, and who may not any more."""

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from aiohttp import web

__all__ = ["Outgoing", "WrongKeys", "source_of"]

_RINGING_SECS = 180.0
"""How long a placed call holds its line without a word from Twilio of it.

It rings for 60 s by default, and may wait behind others before: Twilio places one a second."""


class Outgoing:
    """Lines of calls that were placed and are not answered yet, and the rate they are placed at.

    Args:
        per_minute: Calls placed in any minute, at most.
        clock: Seconds, never running backwards.
    """

    def __init__(self, *, per_minute: int, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._placed: deque[float] = deque(maxlen=per_minute)
        self._held: OrderedDict[str, float] = OrderedDict()
        self._asking = 0

    def __len__(self) -> int:
        """How many lines are held."""
        now = self._clock()
        while self._held and next(iter(self._held.values())) <= now:
            self._held.popitem(last=False)
        return len(self._held) + self._asking

    @property
    def wait_secs(self) -> float:
        """How long until another call may be placed, 0 if it may be at once."""
        if len(self._placed) < (self._placed.maxlen or 1):
            return 0.0
        return max(0.0, self._placed[0] + 60.0 - self._clock())

    def ask(self) -> None:
        """A call is about to be asked for: it has a line from here on."""
        self._placed.append(self._clock())
        self._asking += 1

    def refused(self) -> None:
        """What was asked for came to nothing."""
        self._asking -= 1

    def placed(self, call_sid: str, *, has_line: bool) -> None:
        """What was asked for is a call.

        Args:
            call_sid: The call.
            has_line: Whether it is counted elsewhere already, or over.
        """
        self._asking -= 1
        if not has_line:
            self.heard_of(call_sid, is_new=True)

    def heard_of(self, call_sid: str, *, is_new: bool = False) -> None:
        """Twilio tells of a call: one that holds a line holds it for longer."""
        if self._held.pop(call_sid, None) is not None or is_new:
            self._held[call_sid] = self._clock() + _RINGING_SECS

    def take(self, call_sid: str, *, is_outbound: bool) -> bool:
        """Gives a call that is answered the line that is held for it; False if none is.

        Twilio may ask for a call before it has told this side what it is called.
        """
        if self._held.pop(call_sid, None) is not None:
            return True
        return is_outbound and self._asking > 0

    def release(self, call_sid: str) -> None:
        """A call is over."""
        self._held.pop(call_sid, None)


class WrongKeys:
    """Slows those who guess a key: after some wrong ones, each address has to wait ever longer.

    Args:
        clock: Seconds, never running backwards.
    """

    _FREE_ATTEMPTS = 5
    """Fewer wrong keys cost no wait: somebody may mistype."""
    _LONGEST_WAIT_SECS = 30.0
    """No wait is longer, however many were wrong."""
    _MOST_SOURCES = 1000
    """Addresses that are remembered; then the one that was wrong longest ago is forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_secs(self, source: str) -> float:
        """How long until another key of this source is looked at, 0 if at once."""
        _, until = self._wrong.get(source, (0, 0.0))
        return max(0.0, until - self._clock())

    def note_wrong(self, source: str) -> None:
        """Its key was wrong."""
        count = self._wrong.pop(source, (0, 0.0))[0] + 1
        wait = min(2.0 ** min(count - self._FREE_ATTEMPTS, 10), self._LONGEST_WAIT_SECS)
        until = self._clock() + wait if count >= self._FREE_ATTEMPTS else 0.0
        self._wrong[source] = (count, until)
        if len(self._wrong) > self._MOST_SOURCES:
            self._wrong.popitem(last=False)

    def note_right(self, source: str) -> None:
        """Its key was right."""
        self._wrong.pop(source, None)


def source_of(request: web.BaseRequest, *, trust_proxies: bool) -> str:
    """Whose request it is: an address, or of IPv6 the network that one household has.

    Args:
        request: A request.
        trust_proxies: Whether the nearest proxy is believed about whom it speaks for.
    """
    address = request.remote or ""
    if trust_proxies and (told := request.headers.get("X-Forwarded-For")):
        address = told.rpartition(",")[2].strip()
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
