"""`posthouse import`: accounts of another server, with the passwords they have there."""

from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from posthouse.accounts import schemes
from posthouse.accounts.passwd_file import Entry, Passwords, read
from posthouse.accounts.passwords import rehash, scram_text
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.accounts.store import AccountExistsError
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, say
from posthouse.protocol.saslprep import SaslprepError, saslprep

TROUBLES_SHOWN_MAX: Final = 20


class Imported(Struct, frozen=True):
    """What came of it.

    Attributes:
        added: Accounts that are new.
        replaced: Accounts that have their password from the file now.
        there_already: Accounts that were left as they are.
        elsewhere: Addresses in domains that are not ours.
    """

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    there_already: tuple[str, ...]
    elsewhere: tuple[str, ...]


@click.group("import")
def import_accounts() -> None:
    """Take over accounts of another server."""


@import_accounts.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--domain", default="", help="Domain of names that have none.")
@click.option("--scheme", default="CRYPT", help="Scheme of passwords that name none.")
@click.option("--replace", is_flag=True, help="Give accounts that are there already this password.")
@click.option(
    "--keep-plain", is_flag=True, help="Keep {PLAIN} readable, for CRAM-MD5 and APOP; else hashed."
)
@shared_options
def passwd(file: Path, *, domain: str, scheme: str, replace: bool, keep_plain: bool) -> None:
    """Add the accounts of FILE, a passwd-file of Dovecot: a line name:{SCHEME}password for each.

    Everybody keeps the password they have. At the first sign-in it becomes a hash of ours.
    """
    installation = open_installation(current_options())
    found = _read(file, domain, scheme)
    with installation.accounts() as store:
        result = _import(store, installation, found, replace=replace, keep_plain=keep_plain)
    _tell(result, found)


def _read(file: Path, domain: str, scheme: str) -> Passwords:
    try:
        return read(file.read_text(encoding="utf-8"), domain=domain, scheme=scheme)
    except (OSError, UnicodeDecodeError) as problem:
        raise Failure(f"cannot read {file}: {problem}", Exit.USAGE) from None


def _import(
    store: SqliteAccountStore,
    installation: Installation,
    found: Passwords,
    *,
    replace: bool,
    keep_plain: bool,
) -> Imported:
    domains = installation.loaded.configuration.domains
    ours = {name for name, it in domains.items() if not it.deliver_via}
    added, replaced, there_already, elsewhere = list[str](), list[str](), list[str](), list[str]()
    for entry in found.entries:
        name = str(entry.mailbox)
        if entry.mailbox.domain not in ours:
            elsewhere.append(name)
            continue
        hashed, scram = _kept(store, entry, keep_plain=keep_plain)
        try:
            store.add(entry.mailbox, hashed, scram=scram)
            added.append(name)
        except AccountExistsError:
            if replace:
                store.set_password(name, hashed, scram=scram)
            (replaced if replace else there_already).append(name)
    return Imported(tuple(added), tuple(replaced), tuple(there_already), tuple(elsewhere))


def _kept(store: SqliteAccountStore, entry: Entry, *, keep_plain: bool) -> tuple[str, str]:
    """What to keep of a password: as it is, but a readable one only on request."""
    plain = schemes.plain(entry.stored)
    if plain is None:
        return entry.stored, ""
    try:
        prepared = saslprep(plain)
    except SaslprepError:
        return entry.stored, ""
    scram = scram_text(prepared, str(entry.mailbox), store.salt_key())
    return (entry.stored if keep_plain else rehash(prepared)), scram


def _tell(result: Imported, found: Passwords) -> None:
    if current_options().json:
        troubles = [{"line": it.line, "why": it.why} for it in found.troubles]
        document("imported-accounts", {"imported": result, "troubles": troubles})
        return
    say(f"{len(result.added)} accounts added, {len(result.replaced)} given another password")
    if result.there_already:
        note(f"{len(result.there_already)} were there already and keep theirs (--replace)")
    if result.elsewhere:
        few = ", ".join(result.elsewhere[:3])
        note(f"{len(result.elsewhere)} are in domains that are not ours, such as {few}: left out")
    for trouble in found.troubles[:TROUBLES_SHOWN_MAX]:
        note(f"line {trouble.line} left out: {trouble.why}")
    if len(found.troubles) > TROUBLES_SHOWN_MAX:
        note(f"{len(found.troubles) - TROUBLES_SHOWN_MAX} more lines left out")
