"""The workers of a server: processes that share ports, accounts and counts, each with its spool."""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from posthouse.accounts.notices import Board


class Worker(Struct, frozen=True, eq=False):
    """Which of the workers this process is.

    Attributes:
        number: From 1 on; the first also does what is done once for all.
        count: How many there are.
        board: Where they tell each other; None: this one is alone.
    """

    number: int = 1
    count: int = 1
    board: Board | None = None

    @property
    def is_first(self) -> bool:
        """Whether it does what is done once for all."""
        return self.number == 1

    @property
    def place(self) -> int | None:
        """Its sign in the ids of messages; None where it is alone."""
        return None if self.count == 1 else self.number - 1

    def own(self, path: Path) -> Path:
        """Return the path of its own file or directory: ``spool``, of the second ``spool-2``."""
        return numbered(path, self.number)


ALONE = Worker()


def numbered(path: Path, number: int) -> Path:
    """Return the path that a worker has instead of that of the first."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def left_behind(path: Path, count: int) -> Iterator[tuple[int, Path]]:
    """Yield the (number, path) of workers that there were when there were more."""
    for found in sorted(path.parent.glob(f"{path.stem}-[0-9]*{path.suffix}")):
        number = found.name.removesuffix(path.suffix).removeprefix(f"{path.stem}-")
        if number.isdecimal() and int(number) > count:
            yield int(number), found
