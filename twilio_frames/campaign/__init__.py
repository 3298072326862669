"""Campaigns: many numbers called by one bot, at a pace, at decent hours, none once too often.

::

    listed = read_contacts(Path("calls.csv"))
    async with TwilioRest(credentials) as rest:
        line = CampaignLine(rest, caller="+14155550199", webhook="https://bot.example.com/twiml")
        campaign = Campaign(listed.contacts, line, state=Path("calls.campaign"))
        await campaign.run()

What may be done when is decided without I/O, in :mod:`~twilio_frames.campaign.plan`; what was done
is kept in an SQLite file before it is done, so that whatever kills the process, the next one knows.
"""

from twilio_frames.campaign.contacts import read_contacts
from twilio_frames.campaign.hours import CallingHours
from twilio_frames.campaign.line import CampaignLine
from twilio_frames.campaign.plan import Contact
from twilio_frames.campaign.policy import CampaignPolicy, Outcome, Retry
from twilio_frames.campaign.run import Campaign

__all__ = [
    "CallingHours",
    "Campaign",
    "CampaignLine",
    "CampaignPolicy",
    "Contact",
    "Outcome",
    "Retry",
    "read_contacts",
]
