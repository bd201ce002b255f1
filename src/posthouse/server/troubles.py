"""What can keep the server from starting: one sentence, and the exit code that belongs to it."""

from typing import Final

EXIT_CONFIGURATION: Final = 3  # configuration or policy has errors
EXIT_UNAVAILABLE: Final = 4  # a port, a directory or the running server cannot be had
EXIT_NOT_PERMITTED: Final = 6


class StartError(Exception):
    """The server cannot start; the message is for the operator and names the way out.

    Attributes:
        exit_code: 3, 4 or 6, as `docs/operators` lists them.
    """

    def __init__(self, message: str, exit_code: int = EXIT_UNAVAILABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code
