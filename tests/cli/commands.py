"""The command line, called in this process: exit code, standard output and standard error."""

import json
import sys
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec import Struct

from posthouse.cli.main import posthouse, run


class Ran(Struct, frozen=True):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document it printed."""
        return json.loads(self.out)


def command(*arguments: str, given: str = "") -> Ran:
    """Run ``posthouse ARGUMENTS`` with `given` on standard input."""
    before, sys.argv = sys.argv, ["posthouse", *arguments]
    try:
        with CliRunner().isolation(input=given) as (out, err, _):
            with pytest.raises(SystemExit) as ended:
                run()
            sys.stdout.flush()
            sys.stderr.flush()
            code = ended.value.code
            assert isinstance(code, int)
            return Ran(int(code), out.getvalue().decode(), err.getvalue().decode())
    finally:
        sys.argv = before


def every_command() -> list[tuple[str, ...]]:
    """The path of every command there is."""
    import click  # noqa: PLC0415 - only here

    def below(group: click.Group, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = []
        context = click.Context(group)
        for name in group.list_commands(context):
            it = group.get_command(context, name)
            assert it is not None
            found.append((*path, name))
            if isinstance(it, click.Group):
                found += below(it, (*path, name))
        return found

    return below(posthouse, ())
