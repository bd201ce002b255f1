"""The installation that a command works on: its configuration and its stores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.accounts.store import AccountError, StoreError
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.main import Options
from posthouse.config.diagnostic import ConfigurationError, render
from posthouse.config.load import Loaded, load
from posthouse.config.syntax import decode

NAME: Final = "posthouse.toml"
PLACES: Final = (Path(NAME), Path("var/dev") / NAME, Path("/etc/posthouse") / NAME)


class Installation(Struct, frozen=True):
    """A configuration file that loads, and where its things are.

    Attributes:
        path: Of the configuration file.
        text: What the file says.
        loaded: Its values, and where they stand.
    """

    path: Path
    text: str
    loaded: Loaded

    @property
    def directory(self) -> Path:
        """The storage directory; relative paths count from the configuration file."""
        return self.path.parent / self.loaded.configuration.storage.directory

    @contextmanager
    def accounts(self) -> Iterator[SqliteAccountStore]:
        """Open the account store for a while.

        Raises:
            Failure: If it cannot be used, or what was asked of it cannot be done.
        """
        try:
            self.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as problem:
            raise Failure(
                f"the storage directory {self.directory} cannot be used: {problem.strerror}",
                Exit.UNREACHABLE,
            ) from None
        try:
            store = SqliteAccountStore(self.directory / "accounts.db")
            try:
                yield store
            finally:
                store.close()
        except StoreError as problem:
            raise Failure(str(problem), Exit.UNREACHABLE) from None
        except AccountError as problem:
            raise Failure(str(problem)) from None


def find_path(options: Options) -> Path:
    """Return the configuration file: as named, from POSTHOUSE_CONFIG, or where it usually is.

    Raises:
        Failure: If there is none.
    """
    named = options.config or os.environ.get("POSTHOUSE_CONFIG")
    if named:
        return Path(named)
    for place in PLACES:
        if place.is_file():
            return place
    looked = ", ".join(map(str, PLACES))
    raise Failure(
        f"no configuration file found (looked at {looked}): name one with --config,"
        " or make one with `posthouse init`",
        Exit.CONFIGURATION,
    )


def read_text(path: Path) -> str:
    """Return the text of a configuration file.

    Raises:
        Failure: If it cannot be read or is no UTF-8.
    """
    try:
        return decode(path.read_bytes())
    except OSError as problem:
        raise Failure(f"cannot read {path}: {problem.strerror}", Exit.CONFIGURATION) from None
    except ConfigurationError as problem:
        raise Failure(
            render(problem.diagnostics, "", str(path)).rstrip(), Exit.CONFIGURATION
        ) from None


def open_installation(options: Options) -> Installation:
    """Load the configuration that a command works on.

    Raises:
        Failure: If there is none, or it has errors; they are shown as `check` shows them.
    """
    path = find_path(options)
    text = read_text(path)
    try:
        return Installation(path, text, load(text, path.name))
    except ConfigurationError as problem:
        shown = render(problem.diagnostics, text, str(path))
        raise Failure(f"the configuration has errors\n{shown}", Exit.CONFIGURATION) from None


def current_options() -> Options:
    """Return what was said before the command."""
    options = click.get_current_context().find_root().obj
    assert isinstance(options, Options)
    return options


def now() -> datetime:
    """Return the moment: the one clock of the command line."""
    return datetime.now(UTC)
