"""Exit codes, and failures that end a command with one of them. No traceback reaches a person."""

from enum import IntEnum


class Exit(IntEnum):
    """What the exit code says."""

    DONE = 0  # done, allowed, no findings
    NO = 1  # the answer is no: refused, tests failed, findings
    USAGE = 2  # wrong command line
    CONFIGURATION = 3  # configuration or policy has errors
    UNREACHABLE = 4  # server not reachable or not running; port taken, storage unusable
    TRY_AGAIN = 5  # cannot tell now: DNS or a store failed for a moment
    NOT_PERMITTED = 6
    BUG = 70  # a bug in Posthouse
    INTERRUPTED = 130


class Failure(Exception):  # noqa: N818 - it is what a command ends with, not an error of the program
    """A command cannot do what it was asked; the message names thing, place and way out."""

    def __init__(self, message: str, code: Exit = Exit.NO) -> None:
        super().__init__(message)
        self.code = code
