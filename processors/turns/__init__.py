"""Whose turn it is: when the caller's begins, when it ends, and what bounds both."""
