"""A telephone in a web page: somebody speaks to a bot, over a simulated Twilio's own call."""
