"""`posthouse quickstart`: a whole server on loopback, a first mail, and how to go on."""

import contextlib
import os
import secrets
import signal
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from posthouse.accounts.passwords import add_account, change_password, generate_password
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.explain import print_case
from posthouse.cli.init import write_file
from posthouse.cli.installation import Installation, read_text
from posthouse.cli.output import note, say
from posthouse.cli.serve import serve_until_stopped
from posthouse.config.diagnostic import ConfigurationError, render
from posthouse.config.initial import initial_text
from posthouse.config.load import load
from posthouse.lab.clients import Account, Mail, fetch, send
from posthouse.lab.hosts import wait_for
from posthouse.mail.address import AddressError, parse_domain, parse_mailbox
from posthouse.telemetry.case_file import CaseReader, Search
from posthouse.telemetry.sinks import FileSink, Log, console_line

ADDRESS: Final = "127.0.0.1"
ELSEWHERE: Final = "127.0.0.2"  # loopback as well, but not where mail was fetched from
LISTENERS: Final = ("mx", "submission", "submissions", "pop3", "pop3s")
ARRIVES_SECONDS: Final = 15.0


@click.command()
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=Path("var/dev"),
    show_default=True,
    help="Where everything is kept.",
)
@click.option("--domain", default="example.test", show_default=True, help="The domain to serve.")
@click.option("--no-mail", is_flag=True, help="Do not send the two first mails.")
def quickstart(directory: Path, domain: str, *, no_mail: bool) -> None:
    """Set up a server for development in DIRECTORY, and serve until Ctrl-C.

    It listens on free loopback ports and delivers nothing outside: mail for other domains is kept
    to look at.
    """
    try:
        domain = parse_domain(domain)
    except AddressError as problem:
        raise Failure(f"--domain: {problem}", Exit.USAGE) from None
    installation = _set_up(directory, domain)
    people = _people(installation, domain)

    def ready(listeners: dict[str, list[str]]) -> None:
        tour = threading.Thread(
            target=_introduce, args=(installation, people, listeners, not no_mail), daemon=True
        )
        tour.start()

    log = Log(FileSink(console_line, directory / "log"))
    try:
        serve_until_stopped(installation.path, ready, log)
    finally:
        log.close()


def _set_up(directory: Path, domain: str) -> Installation:
    """Write the configuration, unless it is there; one whose ports were taken gets others."""
    path = directory / "posthouse.toml"
    if not path.exists() or _is_taken(path):
        ports = _free_ports(len(LISTENERS))
        listen = {name: f"{ADDRESS}:{port}" for name, port in zip(LISTENERS, ports, strict=True)}
        text = initial_text(
            hostname=f"mail.{domain}", domains=[domain], listen=listen, storage="data", capture=True
        )
        write_file(path, text)
    (directory / "data").mkdir(mode=0o700, exist_ok=True)
    text = read_text(path)
    try:
        return Installation(path, text, load(text, path.name))
    except ConfigurationError as problem:
        shown = render(problem.diagnostics, text, str(path))
        raise Failure(
            f"{path} has errors; correct it or remove it\n{shown}", Exit.CONFIGURATION
        ) from None


def _is_taken(path: Path) -> bool:
    """Whether a port of a configuration that an earlier run wrote is in use by another program."""
    try:
        listen = load(read_text(path), path.name).configuration.listen
    except ConfigurationError:
        return False
    for listener in listen.values():
        for endpoint in listener.on:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((str(endpoint.host), endpoint.port))
                except OSError:
                    return True
    return False


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as opened:
        probes = [opened.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((ADDRESS, 0))
        return [probe.getsockname()[1] for probe in probes]


def _people(installation: Installation, domain: str) -> tuple[Account, Account]:
    """The two accounts; their passwords are kept beside the configuration."""
    kept = installation.path.parent / "passwords"
    names = (f"ann@{domain}", f"bob@{domain}")
    known: dict[str, str] = {}
    if kept.exists():
        known = dict(line.split(" ", 1) for line in kept.read_text().splitlines() if " " in line)
    with installation.accounts() as store:
        there = {record.name for record in store.list()}
        for name in names:
            if name in there and name in known:
                continue
            known[name] = generate_password()
            if name in there:
                change_password(store, name, known[name])
            else:
                add_account(store, parse_mailbox(name), known[name])
        postmaster = parse_mailbox(f"postmaster@{domain}")
        if not store.resolve(postmaster, plus_tags=False).known:
            store.add_alias(postmaster, [parse_mailbox(names[0])])
    kept.touch(mode=0o600)
    kept.write_text("".join(f"{name} {password}\n" for name, password in sorted(known.items())))
    return Account(names[0], known[names[0]]), Account(names[1], known[names[1]])


def _introduce(
    installation: Installation,
    people: tuple[Account, Account],
    listeners: Mapping[str, list[str]],
    with_mail: bool,  # noqa: FBT001 - passed on by a thread
) -> None:
    """Send the first mails and tell how to go on, while the server serves."""
    try:
        places = {name: _place(texts[0]) for name, texts in listeners.items()}
        if with_mail:
            _first_mails(installation, people, places)
        _tell_how_to_connect(installation, people, places)
    except Exception as problem:  # noqa: BLE001 - the end of a thread: the person must hear of it
        note(f"posthouse: the first mail failed: {problem}")
        os.kill(os.getpid(), signal.SIGTERM)


def _place(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def _first_mails(
    installation: Installation,
    people: tuple[Account, Account],
    places: Mapping[str, tuple[str, int]],
) -> None:
    ann, bob = people
    token = f"first mail {secrets.token_hex(3)}"
    say(f"1  {ann.name} signs in and writes to {bob.name}")
    accepted = send(
        Mail(ann.name, bob.name, token), server=places["submission"], place=ADDRESS, sign_in=ann
    )
    say(f"   the server says: {accepted.code} {accepted.reply}")
    arrived = wait_for(
        lambda: any(
            f"Subject: {token}" in text for text in fetch(bob, server=places["pop3"], place=ADDRESS)
        ),
        ARRIVES_SECONDS,
    )
    if not accepted.accepted or not arrived:
        raise Failure("the accepted mail did not arrive: see the log")
    say(f"   delivered: {bob.name} fetched it by POP3")
    _explain(installation, Search(address=bob.name, reason="local-recipient", limit=1))
    say()
    say("2  somebody who is not known here writes to another domain")
    mail = Mail("stranger@elsewhere.example", "someone@adatum.example", "relay this, please")
    refused = send(mail, server=places["mx"], place=ELSEWHERE)
    say(f"   the server says: {refused.code} {refused.reply}")
    _explain(installation, Search(address=mail.recipient, reason="not-recognised", limit=1))


def _explain(installation: Installation, wanted: Search) -> None:
    """Show the newest decision of a kind, as `posthouse explain` does."""
    reader = CaseReader(installation.directory / "cases.db")
    try:
        found = wait_for(lambda: reader.search(wanted), 5)
    finally:
        reader.close()
    if not found:
        raise Failure("the decision was not recorded")
    say(f"   posthouse explain {found[0].id} tells why:\n")
    print_case(found[0])


def _tell_how_to_connect(
    installation: Installation,
    people: tuple[Account, Account],
    places: Mapping[str, tuple[str, int]],
) -> None:
    port = {name: place[1] for name, place in places.items()}
    say("\nTo connect a mail program (it will warn of the self-made certificate):")
    for account in people:
        say(f"   user name  {account.name}   password  {account.password}")
    say(f"   incoming   POP3 {ADDRESS} port {port['pop3']} STARTTLS, or {port['pop3s']} SSL/TLS")
    start, other = port["submission"], port["submissions"]
    say(f"   outgoing   SMTP {ADDRESS} port {start} STARTTLS, or {other} SSL/TLS")
    say(f"   as another server would: SMTP {ADDRESS} port {port['mx']}")
    say(f"\nConfiguration  {installation.path}")
    say(f"Everything kept in  {installation.directory} (mail for other domains: captured/)")
    say(f"In another terminal: export POSTHOUSE_CONFIG={installation.path}")
    say("   posthouse decisions tail     posthouse queue list     posthouse ask --help")
    say(f"What happens is logged in  {installation.path.parent / 'log'}")
    say("\nServing until Ctrl-C.")
