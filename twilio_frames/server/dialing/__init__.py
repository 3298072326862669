"""Calls that the server places: where to, how many at a time, and for whom."""
