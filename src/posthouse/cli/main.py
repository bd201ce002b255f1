"""The command line: one group, its commands loaded only when they are called."""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import click
from msgspec import Struct
from msgspec.structs import replace

from posthouse import __version__
from posthouse.cli.exits import Exit, Failure
from posthouse.telemetry.escaping import escaped

# Command -> module and function, and what it is for: what is not called is not imported.
COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "quickstart": ("quickstart", "quickstart", "A whole server on loopback, and a first mail"),
    "demo": ("demo", "demo", "Home, work and hotel on a small Internet of its own"),
    "init": ("init", "init", "Write a first configuration"),
    "serve": ("serve", "serve", "Run the server"),
    "import": ("importing", "import_accounts", "Take over accounts of another server"),
    "check": ("check", "check", "Is the configuration right?"),
    "config": ("check", "config", "Show values, the reference, the schema for editors"),
    "diff": ("diff", "diff", "What would another configuration decide otherwise?"),
    "reload": ("control", "reload", "Let the running server read its configuration again"),
    "ask": ("ask", "ask", "May this mail pass, why, and what would help?"),
    "simulate": ("simulate", "simulate", "Play an SMTP session without a network"),
    "test": ("policy_test", "test", "Put the [[test]] tables to the rules"),
    "prove": ("prove", "prove", "No stranger may relay, and exactly who may"),
    "audit": ("audit", "audit", "Try the tricks by which servers were made to relay"),
    "explain": ("explain", "explain", "Explain a case, a reason or a code"),
    "reasons": ("explain", "reasons", "List every reason"),
    "decisions": ("decisions", "decisions", "Search decisions, or watch them being made"),
    "doctor": ("doctor", "doctor", "What does this error mean, who can fix it, and how?"),
    "settings": ("doctor_settings", "settings", "The right fields for each mail program"),
    "probe": ("probe", "probe", "Hold one SMTP session with a host and show it"),
    "dns": ("dns", "dns", "What DNS must say so that mail comes in and is believed"),
    "dkim": ("dkim", "dkim", "Keys that sign outgoing mail"),
    "account": ("account", "account", "Accounts, their addresses and passwords"),
    "network": ("network", "network", "Networks that may relay without signing in"),
    "queue": ("queue", "queue", "Accepted mail that waits or is held"),
    "journey": ("journey", "journey", "The whole way of a message"),
    "status": ("control", "status", "How the running server is"),
}

# How help groups them; every command is in one group.
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Start": ("quickstart", "demo", "init", "serve", "import"),
    "Configuration": ("check", "config", "diff", "reload"),
    "Policy": ("ask", "simulate", "test", "prove", "audit"),
    "Answers": ("explain", "reasons", "decisions", "doctor", "settings", "probe"),
    "People": ("account", "network"),
    "Mail": ("queue", "journey", "dns", "dkim", "status"),
}


class Options(Struct, frozen=True):
    """What is said before the command.

    Attributes:
        config: The configuration file as named; None to look for it.
        json: Print JSON.
        quiet: No notes.
        lang: Language of texts for people.
    """

    config: Path | None
    json: bool
    quiet: bool
    lang: str


def shared_options(function: Callable[..., object]) -> Callable[..., object]:
    """Let a command take --json and --config behind its name too."""

    def keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
        root = ctx.find_root()
        if value and isinstance(root.obj, Options):
            root.obj = replace(root.obj, **{str(param.name): value})

    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=keep,
        help="The configuration file.",
    )
    as_json = click.option(
        "--json", is_flag=True, expose_value=False, callback=keep, help="Print one JSON document."
    )
    return config(as_json(function))


class LazyCommands(click.Group):
    """Finds commands in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's file and return the command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, function, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"posthouse.cli.{module}"), function)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands in their groups, without importing any."""
        del ctx
        for group, names in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl([(name, COMMANDS[name][2]) for name in names])


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="posthouse", message="%(prog)s %(version)s")
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="No notes, only the answer.")
@click.option("--lang", default="", help="Language of texts for people: en, zh_Hans.")
@click.pass_context
def posthouse(
    ctx: click.Context, config: Path | None, *, as_json: bool, quiet: bool, lang: str
) -> None:
    """Posthouse: the mail relay that knows its people and explains itself."""
    ctx.obj = Options(config, as_json, quiet, lang)


def run() -> NoReturn:
    """Run the command line and exit with its code."""
    try:
        result = posthouse.main(standalone_mode=False, prog_name="posthouse")
    except click.ClickException as problem:
        _tell_of_wrong_use(problem)
        sys.exit(Exit.USAGE)
    except Failure as problem:
        click.echo(f"posthouse: {_harmless(str(problem))}", err=True)
        sys.exit(problem.code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.DONE)
    except Exception as problem:  # noqa: BLE001 - the one place where a bug becomes a sentence
        _tell_of_bug(problem)
        sys.exit(Exit.BUG)
    sys.exit(result if isinstance(result, int) else Exit.DONE)


def _harmless(text: str) -> str:
    """What was typed or read may be hostile: it is shown, not obeyed."""
    return "\n".join(escaped(line) for line in text.split("\n"))


def _tell_of_wrong_use(problem: click.ClickException) -> None:
    """Say what is wrong with the command line, and how it is used."""
    if isinstance(problem, click.exceptions.NoArgsIsHelpError):
        problem.show()
        return
    if isinstance(problem, click.UsageError) and problem.ctx is not None:
        click.echo(problem.ctx.get_usage(), err=True)
        click.echo(f"Try '{problem.ctx.command_path} --help' for help.", err=True)
    click.echo(f"Error: {_harmless(problem.format_message())}", err=True)


def _tell_of_bug(problem: Exception) -> None:
    """Keep the traceback in a file and tell where it is, instead of showing it."""
    import secrets  # noqa: PLC0415 - only where something broke
    import tempfile  # noqa: PLC0415
    import traceback  # noqa: PLC0415

    crash = secrets.token_hex(4)
    path = Path(tempfile.gettempdir()) / f"posthouse-crash-{crash}.txt"
    text = "".join(traceback.format_exception(problem))
    try:
        path.write_text(f"posthouse {__version__}, Python {sys.version}\n{sys.argv!r}\n\n{text}")
        kept = f"details are in {path}"
    except OSError:
        kept = f"details: {type(problem).__name__}: {problem}"
    click.echo(f"posthouse: this is a bug in Posthouse (crash {crash}); {kept}", err=True)
