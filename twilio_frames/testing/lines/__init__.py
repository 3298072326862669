"""What lies between a caller and the bot: telephone, network, rooms."""
