"""Several workers that carry calls together: what they know in common, and who does what."""
