"""The accounts as they are, for commands that also work before a server ever ran."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.cli.installation import Installation


@contextmanager
def accounts_of(installation: Installation) -> Iterator[SqliteAccountStore]:
    """Open the account store; where there is none yet, an empty one.

    Raises:
        Failure: If there is one and it cannot be used.
    """
    if (installation.directory / "accounts.db").exists():
        with installation.accounts() as store:
            yield store
        return
    with TemporaryDirectory(prefix="posthouse-") as directory:
        empty = SqliteAccountStore(Path(directory) / "accounts.db")
        try:
            yield empty
        finally:
            empty.close()
