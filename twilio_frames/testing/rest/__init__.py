"""Twilio's REST API, as far as a voice bot needs it: calls, their recordings, their streams."""
