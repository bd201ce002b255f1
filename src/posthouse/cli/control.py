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
        if isinstance(value, dict):
            value = ", ".join(f"{key} {it}" for key, it in value.items()) or "-"  # noqa: PLW2901 - shown otherwise
        elif isinstance(value, list):
            value = ", ".join(map(str, value)) or "-"  # noqa: PLW2901 - the same
        say(f"{name.replace('_', ' '):<{width}}  {value}")


@click.command()
@shared_options
def reload() -> None:
    """Let the running server read its configuration again; if it is wrong, nothing changes."""
    answer = ask_server(open_installation(current_options()), Reload())
    if current_options().json:
        document("reload", {"answer": answer})
    else:
        say("reloaded: the new rules hold from the next command on")
