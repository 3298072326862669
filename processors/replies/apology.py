"""What a caller hears in the place of a reply that failed, or behind what was said of it."""

__all__ = ["APOLOGY", "apology_behind"]

APOLOGY = "I'm sorry, something went wrong. Could you say that again?"


def apology_behind(said: str, apology: str = APOLOGY) -> str:
    """The apology, parted from what was said before it; empty if it is.

    Args:
        said: What has been said of the reply.
        apology: What is to be said now.
    """
    if not apology or not said.strip():
        return apology
    space = "" if said[-1].isspace() else " "
    return space + (apology if said.rstrip()[-1] in ".!?" else f"\N{EM DASH} {apology}")
