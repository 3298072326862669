"""Calls that the server places: where to, how many at a time, for whom, and who is consulted."""
