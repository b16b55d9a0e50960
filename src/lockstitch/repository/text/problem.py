"""What is wrong with a file that was read, as a value: a reader never raises."""

from lockstitch.values import frozen

__all__ = ["Problem"]


@frozen
class Problem:
    """One thing that is wrong with a text; lines count from 1, 0 is the file as a whole."""

    line: int
    message: str
    fatal: bool = True  # the program that the file is for refuses it
    path: str = ""  # of another file that the one that was asked for names
