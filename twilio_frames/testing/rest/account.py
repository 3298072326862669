"""The account itself, and what is set for its numbers.

Sources: https://www.twilio.com/docs/iam/api/account,
https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
"""

from aiohttp import web

from twilio_frames.testing.calls.switch import Switch
from twilio_frames.testing.rest.answers import page


class AccountResource:
    """The account.

    Args:
        switch: Holds its rules.
    """

    def __init__(self, switch: Switch):
        self._exchange = switch.exchange

    def add_to(self, router: web.UrlDispatcher, account: str) -> None:
        """Adds its routes."""
        router.add_get(f"{account}.json", self._fetch)
        router.add_get(f"{account}/IncomingPhoneNumbers.json", self._numbers)

    async def _fetch(self, request: web.Request) -> web.Response:
        rules = self._exchange.rules
        return web.json_response(
            {
                "sid": self._exchange.account_sid,
                "friendly_name": "Simulated",
                "status": rules.status,
                "type": rules.kind,
                "owner_account_sid": self._exchange.account_sid,
                "uri": request.path,
            }
        )

    async def _numbers(self, request: web.Request) -> web.Response:
        webhooks = self._exchange.rules.voice_webhooks
        wanted = request.query.get("PhoneNumber")
        numbers = [
            _number(place, number, *webhooks[number])
            for place, number in enumerate(webhooks)
            if wanted in (None, number)
        ]
        return page(request, "incoming_phone_numbers", numbers)


def _number(place: int, number: str, method: str, url: str) -> dict[str, object]:
    return {
        "sid": f"PN{place:032x}",
        "phone_number": number,
        "voice_url": url,
        "voice_method": method,
        "voice_application_sid": "",
        "trunk_sid": None,
        "status_callback": "",
        "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
    }
