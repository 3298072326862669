"""A server as one worker of a fleet: what it owns, whom it asks, and who goes on where it ends."""
