"""`posthouse dkim`: the keys that sign outgoing mail."""

import click

from posthouse.authentication.signatures.keys import Kind
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, now, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, say, table
from posthouse.cli.zone_lines import zone_line
from posthouse.delivery.signing_keys import KeyFileError, SigningKeys, StoredKey
from posthouse.mail.address import AddressError, parse_domain

BOTH = (Kind.RSA, Kind.ED25519)


@click.group()
def dkim() -> None:
    """Signatures on outgoing mail, so that others believe whose it is."""


@dkim.group()
def key() -> None:
    """Keys of our domains, kept in the storage directory."""


@key.command()
@click.argument("domain")
@click.option("--kind", type=click.Choice(["rsa", "ed25519", "both"]), default="both")
@click.option("--selector", default="", help="Name of the key in DNS. Default: month and kind.")
@shared_options
def add(domain: str, kind: str, selector: str) -> None:
    """Make keys for DOMAIN and show the records to put into DNS.

    A key is used as soon as its record is found in DNS: nothing is signed in vain. Older keys stay
    in use until they are retired, so that there is no gap.
    """
    if selector and kind == "both":
        raise Failure("with --selector say --kind rsa or --kind ed25519", Exit.USAGE)
    opened = open_installation(current_options())
    name = our_domain(opened, domain)
    keys = keys_of(opened)
    kinds = BOTH if kind == "both" else (Kind(kind),)
    try:
        made = [keys.add(name, each, now().date(), selector) for each in kinds]
    except KeyFileError as problem:
        raise Failure(str(problem)) from None
    if current_options().json:
        document("dkim-keys", {"keys": [told(each) for each in made]})
        return
    for each in made:
        say(zone_line(each.name, "TXT", each.record))
    note("put these lines into the zone; then: posthouse dns check " + name)


@key.command("list")
@click.argument("domain", required=False)
@shared_options
def list_keys(domain: str | None) -> None:
    """List keys, those that are in use first."""
    opened = open_installation(current_options())
    keys = keys_of(opened)
    try:
        domains = (our_domain(opened, domain),) if domain else keys.domains()
        found = [each for name in domains for each in keys.of(name)]
    except KeyFileError as problem:
        raise Failure(str(problem), Exit.UNREACHABLE) from None
    if current_options().json:
        document("dkim-keys", {"keys": [told(each) for each in found]})
    elif not found:
        note("there is no key: posthouse dkim key add DOMAIN")
    else:
        rows = [(it.domain, it.selector, it.kind.value, _state(it)) for it in found]
        table(("DOMAIN", "SELECTOR", "KIND", "STATE"), rows)


@key.command()
@click.argument("domain")
@click.argument("selector")
@shared_options
def retire(domain: str, selector: str) -> None:
    """Stop signing with a key. Its record stays in DNS for a week, for mail on its way."""
    opened = open_installation(current_options())
    keys, name = keys_of(opened), our_domain(opened, domain)
    try:
        done = keys.retire(name, selector, now().date())
        left = [it for it in keys.of(name) if it.retired is None]
    except KeyFileError as problem:
        raise Failure(str(problem)) from None
    if current_options().json:
        document("dkim-keys", {"keys": [told(done)]})
        return
    say(f"{done.selector} signs no more; take {done.name} out of DNS after {done.record_goes}")
    if not left:
        note(f"nothing signs for {name} any more: posthouse dkim key add {name}")
        return
    names = ", ".join(it.selector for it in left)
    note(f"left: {names}; only what is published signs: posthouse dns check {name}")


def keys_of(opened: Installation) -> SigningKeys:
    """Return the keys of an installation.

    Raises:
        Failure: If there is no storage directory.
    """
    if not opened.directory.is_dir():
        raise Failure(
            f"there is no storage directory {opened.directory}: start the server once,"
            " or correct storage.directory",
            Exit.UNREACHABLE,
        )
    return SigningKeys(opened.directory / "dkim")


def our_domain(opened: Installation, text: str) -> str:
    """Return a domain as it stands in the configuration.

    Raises:
        Failure: If it is none, or not ours.
    """
    try:
        name = parse_domain(text)
    except AddressError as problem:
        raise Failure(str(problem), Exit.USAGE) from None
    domains = opened.loaded.configuration.domains
    if name not in domains:
        ours = ", ".join(list(domains)[:5]) or "none yet"
        raise Failure(f"{name} is not one of our domains ({ours})")
    return name


def told(stored: StoredKey) -> dict[str, object]:
    """Return what is told of a key; never its private half."""
    return {
        "domain": stored.domain,
        "selector": stored.selector,
        "kind": stored.kind.value,
        "name": stored.name,
        "record": stored.record,
        "retired": stored.retired,
        "record_goes": stored.record_goes,
    }


def _state(stored: StoredKey) -> str:
    if stored.retired is None:
        return "in use if published"
    return f"retired {stored.retired}, record until {stored.record_goes}"
