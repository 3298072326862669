"""From a call log to a picture, and to plain words about what went wrong.

``twilio_frames.report.picture`` draws it as PNG; it stands by itself, since it needs Pillow.
"""

from twilio_frames.report.content import content
from twilio_frames.report.finding import Finding, Severity, clock_text
from twilio_frames.report.page import page
from twilio_frames.report.report import Report, make_report, read_report

__all__ = [
    "Finding",
    "Report",
    "Severity",
    "clock_text",
    "content",
    "make_report",
    "page",
    "read_report",
]
