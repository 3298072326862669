"""What the REST API answers with, and what it is asked: JSON, errors, forms.

Source: https://www.twilio.com/docs/usage/twilios-response
"""

from collections.abc import Sequence
from urllib.parse import parse_qs

from aiohttp import web

from twilio_frames.testing.calls.facts import whole_number


class Form:
    """A request's form; a name may come more than once.

    Args:
        text: As it was sent.
    """

    def __init__(self, text: str):
        self._values = parse_qs(text, keep_blank_values=True)

    def adding(self, name: str, value: str) -> "Form":
        """The same form, with another field."""
        form = Form("")
        form._values = self._values | {name: [value]}
        return form

    def one(self, name: str, default: str = "") -> str:
        """The first value of a name."""
        return self._values.get(name, [default])[0] or default

    def words(self, name: str, default: str = "") -> tuple[str, ...]:
        """All values of a name, and the words in them."""
        given = self._values.get(name, [default])
        return tuple(word for value in given for word in value.split())

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        return whole_number(self.one(name), default)

    def flag(self, name: str) -> bool:
        """Whether it says ``true``."""
        return self.one(name).lower() == "true"

    def method(self, name: str) -> str:
        """An HTTP method; ``POST`` unless it is given."""
        return self.one(name, "POST").upper()


async def read_form(request: web.Request) -> Form:
    """The form of a request."""
    return Form((await request.read()).decode("utf-8", "replace"))


def page(request: web.Request, name: str, resources: Sequence[dict[str, object]]) -> web.Response:
    """A list of resources, all on one page."""
    return web.json_response(
        {
            name: list(resources),
            "page": 0,
            "page_size": max(50, len(resources)),
            "start": 0,
            "end": max(0, len(resources) - 1),
            "uri": request.path_qs,
            "first_page_uri": request.path_qs,
            "next_page_uri": None,
            "previous_page_uri": None,
        }
    )


def missing(request: web.Request) -> web.Response:
    """There is no such thing."""
    return error(404, 20404, f"The requested resource {request.path} was not found")


def not_in_progress() -> web.Response:
    """The call is over, or not yet answered."""
    return error(400, 21220, "Call is not in-progress. Cannot redirect.")


def error(status: int, code: int, message: str) -> web.Response:
    """A refusal in Twilio's form."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": message, "more_info": more, "status": status}
    return web.json_response(body, status=status)
