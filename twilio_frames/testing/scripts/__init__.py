"""What a scripted caller does, and what is expected of the bot."""
