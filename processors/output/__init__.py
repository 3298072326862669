"""The bot's voice on its way to the caller's ear: queued, paced, held, told as it is heard."""
