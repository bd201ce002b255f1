"""`posthouse account`: who has an account, which addresses reach it, and its passwords."""

import sys

import click

from posthouse.accounts.passwords import (
    add_account,
    change_password,
    generate_password,
    make_submission_password,
)
from posthouse.accounts.store import CredentialKind
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, say, table
from posthouse.doctor.translation import LANGUAGES
from posthouse.mail.address import AddressError, Mailbox, parse_mailbox

PASSWORD_CHARACTERS_MIN = 8


@click.group()
def account() -> None:
    """Accounts, their addresses and passwords."""


@account.command("list")
@shared_options
def list_accounts() -> None:
    """List all accounts with the addresses that reach them."""
    installation = open_installation(current_options())
    with installation.accounts() as store:
        records = store.list()
        passwords = {it.name: _submission_passwords(store.credentials(it.name)) for it in records}
    if current_options().json:
        rows = [{"account": it, "submission_passwords": passwords[it.name]} for it in records]
        document("accounts", {"accounts": rows})
        return
    if not records:
        note("no accounts yet: posthouse account add NAME@DOMAIN")
        return
    table(
        ("ACCOUNT", "STATE", "SUBMISSION PASSWORDS", "ALSO REACHED AT"),
        [
            (
                it.name,
                "disabled" if it.disabled else "open",
                ", ".join(passwords[it.name]) or "-",
                ", ".join(it.addresses[1:]) or "-",
            )
            for it in records
        ],
    )


def _submission_passwords(credentials: object) -> list[str]:
    assert isinstance(credentials, tuple)
    return [it.name for it in credentials if it.kind is CredentialKind.SUBMISSION]


@account.command()
@click.argument("address")
@click.option("--generate", is_flag=True, help="Make a password and print it once.")
@shared_options
def add(address: str, *, generate: bool) -> None:
    """Add the account ADDRESS; its password is asked for, or read from standard input."""
    installation = open_installation(current_options())
    mailbox = _local_mailbox(address, installation)
    password = _new_password(generate=generate)
    with installation.accounts() as store:
        record = add_account(store, mailbox, password)
    _tell_password(record.name, "account", password, generated=generate)


@account.command()
@click.argument("address")
@click.option("--generate", is_flag=True, help="Make a password and print it once.")
@shared_options
def passwd(address: str, *, generate: bool) -> None:
    """Change the password of ADDRESS; what was signed in with the old one ends."""
    installation = open_installation(current_options())
    password = _new_password(generate=generate)
    with installation.accounts() as store:
        change_password(store, _mailbox_text(address), password)
    _tell_password(address, "account", password, generated=generate)


@account.command()
@click.argument("address")
@click.confirmation_option("--yes", prompt="Remove the account? Its mailbox stays on disk.")
@shared_options
def remove(address: str) -> None:
    """Remove the account ADDRESS; its mailbox stays on disk."""
    with open_installation(current_options()).accounts() as store:
        store.remove(_mailbox_text(address))
    _tell(f"{address} removed")


@account.command()
@click.argument("address")
@shared_options
def disable(address: str) -> None:
    """Close ADDRESS for signing in and relaying; mail for it still arrives."""
    with open_installation(current_options()).accounts() as store:
        store.disable(_mailbox_text(address))
    _tell(f"{address} is disabled: mail for it still arrives, nobody signs in to it")


@account.command()
@click.argument("address")
@shared_options
def enable(address: str) -> None:
    """Open ADDRESS again."""
    with open_installation(current_options()).accounts() as store:
        store.enable(_mailbox_text(address))
    _tell(f"{address} is open")


@account.command()
@click.argument("address")
@click.argument("language", type=click.Choice([*LANGUAGES, "default"]))
@shared_options
def language(address: str, language: str) -> None:
    """Choose the LANGUAGE of reports to ADDRESS; default: each message's own, or the site's."""
    with open_installation(current_options()).accounts() as store:
        store.set_language(_mailbox_text(address), "" if language == "default" else language)
    _tell(f"reports to {address} are in {language}")


@account.group("app-password")
def app_password() -> None:
    """Separate passwords for sending, each for one program and each revocable."""


@app_password.command("add")
@click.argument("address")
@click.argument("label")
@shared_options
def add_submission_password(address: str, label: str) -> None:
    """Make a submission password for ADDRESS, called LABEL (phone, printer), and print it once."""
    installation = open_installation(current_options())
    with installation.accounts() as store:
        password = make_submission_password(store, _mailbox_text(address), label)
    _tell_password(address, label, password, generated=True)


@app_password.command("list")
@click.argument("address")
@shared_options
def list_submission_passwords(address: str) -> None:
    """List the submission passwords of ADDRESS; never the passwords themselves."""
    with open_installation(current_options()).accounts() as store:
        credentials = store.credentials(_mailbox_text(address))
    if not credentials:
        raise Failure(f"there is no account {address!a}: `posthouse account list` shows them")
    found = [it for it in credentials if it.kind is CredentialKind.SUBMISSION]
    if current_options().json:
        rows = [
            {"label": it.name, "created": it.created, "last_used": it.last_used} for it in found
        ]
        document("submission-passwords", {"account": address, "submission_passwords": rows})
        return
    rows_for_people = [
        (it.name, f"{it.created:%Y-%m-%d}", f"{it.last_used:%Y-%m-%d}" if it.last_used else "never")
        for it in found
    ]
    table(("LABEL", "CREATED", "LAST USED"), rows_for_people)


@app_password.command("revoke")
@click.argument("address")
@click.argument("label")
@shared_options
def revoke(address: str, label: str) -> None:
    """Take the submission password LABEL away, also from sessions that are open with it."""
    with open_installation(current_options()).accounts() as store:
        store.revoke(_mailbox_text(address), label)
    _tell(f"{label} of {address} is revoked")


@account.group()
def alias() -> None:
    """Addresses that lead elsewhere; with several targets, a group."""


@alias.command("add")
@click.argument("address")
@click.argument("targets", nargs=-1, required=True)
@shared_options
def add_alias(address: str, targets: tuple[str, ...]) -> None:
    """Let ADDRESS lead to one or more TARGETS."""
    installation = open_installation(current_options())
    mailbox = _local_mailbox(address, installation)
    leads_to = [_mailbox(target) for target in targets]
    domains = installation.loaded.configuration.domains
    with installation.accounts() as store:
        names = {record.name for record in store.list()}
        store.add_alias(mailbox, leads_to)
        lost = [
            str(target)
            for target in leads_to
            if target.domain in domains and not store.resolve(target, plus_tags=True).known
        ]
    _tell(f"{mailbox} leads to {', '.join(targets)}")
    if str(mailbox.folded) in names and mailbox.folded not in {it.folded for it in leads_to}:
        note(f"{mailbox} is an account: its own mailbox gets nothing more; name it as a target too")
    for target in lost:
        note(f"{target} is nobody yet: it gets no mail until it is an account or alias")


@alias.command("list")
@shared_options
def list_aliases() -> None:
    """List all aliases and groups."""
    with open_installation(current_options()).accounts() as store:
        found = store.aliases()
    if current_options().json:
        rows = [{"address": str(it.address), "targets": list(map(str, it.targets))} for it in found]
        document("aliases", {"aliases": rows})
        return
    table(
        ("ADDRESS", "LEADS TO"),
        [(str(it.address), ", ".join(map(str, it.targets))) for it in found],
    )


@alias.command("remove")
@click.argument("address")
@shared_options
def remove_alias(address: str) -> None:
    """Remove the alias ADDRESS."""
    with open_installation(current_options()).accounts() as store:
        store.remove_alias(_mailbox(address))
    _tell(f"{address} leads nowhere now")


def _mailbox(text: str) -> Mailbox:
    try:
        return parse_mailbox(text)
    except AddressError as problem:
        raise Failure(f"{text!a} is not an address: {problem}", Exit.USAGE) from None


def _mailbox_text(text: str) -> str:
    """The address in its compared form; a bare name is left for the store to find."""
    return str(_mailbox(text)) if "@" in text else text


def _local_mailbox(text: str, installation: Installation) -> Mailbox:
    mailbox = _mailbox(text)
    domains = installation.loaded.configuration.domains
    if mailbox.domain not in domains:
        raise Failure(
            f"{mailbox.domain} is none of our domains ({', '.join(domains) or 'there is none'}):"
            f' add [domains."{mailbox.domain}"] to {installation.path} first'
        )
    if domains[mailbox.domain].deliver_via:
        raise Failure(f"{mailbox.domain} is passed on to another server, which has the accounts")
    return mailbox


def _new_password(*, generate: bool) -> str:
    """Make, ask for or read a password; never from the command line, where others could see it."""
    if generate:
        return generate_password()
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if len(password) < PASSWORD_CHARACTERS_MIN:
        raise Failure(
            f"the password has fewer than {PASSWORD_CHARACTERS_MIN} characters;"
            " --generate makes a good one",
            Exit.USAGE,
        )
    return password


def _tell_password(address: str, label: str, password: str, *, generated: bool) -> None:
    if current_options().json:
        content = {"account": address, "password": password} if generated else {"account": address}
        document("account", content)
        return
    if generated:
        say(f"{address}, password for {label} (shown only now): {password}")
    else:
        _tell(f"{address}: password set")


def _tell(text: str) -> None:
    if not current_options().quiet and not current_options().json:
        say(text)
