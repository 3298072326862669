"""Thousands of calls at workers that are killed, under a clock that jumps; each run by a seed."""

from twilio_frames.testing.virtual_time import take_over_time

# Before modules are imported that keep `time.monotonic` itself.
take_over_time()
