"""`posthouse init`: write a first configuration, commented and right by construction."""

from pathlib import Path

import click

from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import NAME
from posthouse.cli.output import note, say
from posthouse.config.initial import initial_text
from posthouse.mail.address import AddressError
from posthouse.policy.networks import NetworkError


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path(NAME))
@click.option("--hostname", required=True, help="Our own name: mail.example.com.")
@click.option("--domain", "domains", multiple=True, required=True, help="A domain of ours.")
@click.option("--network", "networks", multiple=True, help="A network that may relay.")
@click.option("--storage", default="/var/lib/posthouse", show_default=True, help="A directory.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def init(
    file: Path,
    hostname: str,
    domains: tuple[str, ...],
    networks: tuple[str, ...],
    storage: str,
    force: bool,  # noqa: FBT001 - a flag of the command line
) -> None:
    """Write a first configuration to FILE (posthouse.toml)."""
    if file.exists() and not force:
        raise Failure(f"{file} is there already: --force writes over it", Exit.USAGE)
    try:
        text = initial_text(
            hostname=hostname, domains=domains, listen={}, storage=storage, networks=networks
        )
    except (AddressError, NetworkError) as problem:
        raise Failure(str(problem), Exit.USAGE) from None
    write_file(file, text)
    say(f"{file} written")
    note(f"check it: posthouse check {file}")


def write_file(file: Path, text: str) -> None:
    """Write a file, its directory if need be.

    Raises:
        Failure: If that is not possible.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise Failure(f"cannot write {file}: {problem.strerror}", Exit.UNREACHABLE) from None
