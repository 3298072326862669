"""Connection overrides: what a webhook URL's fragment asks of Twilio. Pure.

``https://host/twiml#ct=2000&rc=2`` means: two seconds to connect, two retries.
Source: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
"""

from dataclasses import dataclass
from urllib.parse import parse_qs, urldefrag

from twilio_frames.testing.calls.facts import whole_number

_MAX_TOTAL = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """How patient Twilio is with a web server.

    Parameters:
        connect: Seconds the connection may take (``ct``).
        read: Seconds until the answer (``rt``).
        total: Seconds for all of it, retries included (``tt``).
        retries: How often it is tried again (``rc``).
        policy: After which failures (``rp``): ``ct`` no connection, ``rt`` no answer in time,
            ``4xx``, ``5xx``, ``all``.
    """

    connect: float = 5.0
    read: float = _MAX_TOTAL
    total: float = _MAX_TOTAL
    retries: int = 1
    policy: tuple[str, ...] = ("ct",)

    def retries_after(self, failure: str) -> bool:
        """Whether a failure of this kind is worth another attempt."""
        return "all" in self.policy or failure in self.policy


def split_overrides(url: str, *, total: float = _MAX_TOTAL) -> tuple[str, Overrides]:
    """The URL the server sees, and what its fragment says.

    Args:
        url: As it stands in the TwiML or the account's settings.
        total: Seconds that everything may take unless the fragment says less.
    """
    plain, fragment = urldefrag(url)
    given = {name: values[-1] for name, values in parse_qs(fragment).items()}
    asked = _seconds(given, "tt", total)
    return plain, Overrides(
        connect=min(_seconds(given, "ct", 5.0), 10.0),
        read=min(_seconds(given, "rt", total), _MAX_TOTAL),
        total=min(asked, total),
        retries=min(whole_number(given.get("rc", ""), 1), 5),
        policy=tuple(given.get("rp", "ct").split(",")),
    )


def _seconds(given: dict[str, str], name: str, default: float) -> float:
    """The overrides are milliseconds."""
    return whole_number(given.get(name, ""), round(1000 * default)) / 1000
