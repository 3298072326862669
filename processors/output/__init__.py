"""The bot's voice on its way to the caller's ear: scripted, paced, held, told as it is heard."""
