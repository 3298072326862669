"""What a caller is told whom no recogniser hears."""

__all__ = ["APOLOGY"]

APOLOGY = "I'm sorry, I can't hear you at the moment."
