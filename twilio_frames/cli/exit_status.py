"""What the command tells the shell."""

from enum import IntEnum

__all__ = ["ExitStatus"]


class ExitStatus(IntEnum):
    """How a command ended; 2 is argparse's, for a command line that is wrong."""

    DONE = 0
    FAILED = 1
    """It could not be done, and why was said."""
    NOT_AS_IT_SHOULD_BE = 3
    """It was done, but not as it should be: each command says what that means."""
    INTERRUPTED = 130
    """Ctrl-C: what shells give for a program that SIGINT ended."""
