"""Exceptions that nobody foresaw, told without what they may hold of a caller's words."""

import traceback

from loguru import logger

__all__ = ["report_unforeseen"]


def report_unforeseen(error: BaseException, where: str) -> str:
    """Logs an exception's type and place, not its text.

    Args:
        error: What was raised.
        where: What it befell.

    Returns:
        Its type's name.
    """
    place = "".join(traceback.format_tb(error.__traceback__)[-3:])
    logger.error(f"{type(error).__name__} on {where}:\n{place}")
    return type(error).__name__
