"""`posthouse status` and `posthouse reload`: speaking to the running server."""

import click

from posthouse.cli.installation import current_options, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, say
from posthouse.cli.running import ask_server
from posthouse.server.requests import Reload, Status


@click.command()
@shared_options
def status() -> None:
    """Tell how the running server is: listeners, sessions, queue."""
    answer = ask_server(open_installation(current_options()), Status())
    if current_options().json:
        document("status", answer)
        return
    width = max(map(len, answer), default=0)
    for name, value in answer.items():
        say(f"{name.replace('_', ' '):<{width}}  {_shown(value)}")


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(it)}" for key, it in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "-"
    return str(value)


@click.command()
@shared_options
def reload() -> None:
    """Let the running server read its configuration again; if it is wrong, nothing changes."""
    answer = ask_server(open_installation(current_options()), Reload())
    if current_options().json:
        document("reload", {"answer": answer})
    else:
        say("reloaded: the new rules hold from the next command on")
