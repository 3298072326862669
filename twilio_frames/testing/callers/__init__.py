"""Those at the other end of the line: what they say, and what they hear."""
