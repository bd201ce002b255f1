"""`posthouse journey`: what became of a message."""

import click

from posthouse.cli.installation import current_options, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, say
from posthouse.cli.running import ask_server
from posthouse.server.requests import QueueShow


@click.command()
@click.argument("id")
@shared_options
def journey(id: str) -> None:  # noqa: A002 - what the person types
    """Tell the whole way of message ID, as given in the 250 that accepted it."""
    answer = ask_server(open_installation(current_options()), QueueShow(id))
    if current_options().json:
        document("journey", {"id": id, "journey": answer["journey"]})
        return
    for event in answer["journey"]:
        say(f"{event['at']}  {event['text']}")
