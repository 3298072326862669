"""Twilio's errors and warnings, as its Debugger would show them.

Source: https://www.twilio.com/docs/api/errors
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something Twilio complains about.

    Parameters:
        code: Twilio's number for it.
        text: What was expected, what happened, and where.
        is_error: False for a warning, with which the call goes on unhurt.
        call_sid: The call it is about, in :attr:`SimulatedTwilio.alerts`.
    """

    code: int
    text: str
    is_error: bool = True
    call_sid: str = ""

    def __str__(self) -> str:
        return f"{'error' if self.is_error else 'warning'} {self.code}: {self.text}"
