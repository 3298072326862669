"""Calls written down: our own logs, and what people keep of theirs."""
