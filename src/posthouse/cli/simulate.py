"""`posthouse simulate`: an SMTP session with the real cores and policy, without a network."""

import asyncio
import base64
import sys
from collections.abc import AsyncIterator
from contextlib import redirect_stdout
from datetime import datetime
from ipaddress import ip_address

import click

from posthouse.accounts.store import AccountStore
from posthouse.cli.accounts_now import accounts_of
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, now, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import headline, note
from posthouse.cli.rules_now import compile_now
from posthouse.cli.spans_of_time import parse_span
from posthouse.cli.tree import VERDICTS, print_help, print_trace
from posthouse.policy.decision import Verdict
from posthouse.policy.facts import Address
from posthouse.policy.networks import fold
from posthouse.policy.questions import default_listener
from posthouse.policy.reasons import WORDINGS
from posthouse.policy.rules import Rules
from posthouse.probe.line import LineLostError
from posthouse.server.memory_line import MemoryLine
from posthouse.server.rehearsal import Believed, Rehearsal
from posthouse.telemetry.case import Case
from posthouse.telemetry.escaping import escaped

_REFUSALS = (Verdict.REFUSE, Verdict.DEFER)


@click.command()
@click.option("--client", required=True, metavar="IP", help="Address of the client.")
@click.option("--listener", default="", metavar="L", help="mx, submission, ...")
@click.option("--tls", is_flag=True, help="The session is encrypted from the start.")
@click.option("--sasl", default="", metavar="USER", help="Sign in as USER first, by no password.")
@click.option(
    "--fetched",
    nargs=2,
    default=None,
    metavar="USER TIME",
    help="USER fetched mail from the client's address TIME ago, such as 3min.",
)
@click.option("--host-name", default="", metavar="NAME", help="A listed name that points there.")
@shared_options
def simulate(client: str, **more: object) -> int:
    """Play an SMTP session from standard input: typed, or piped.

    Replies go to standard output, reasons to standard error. Nothing is sent and nothing kept;
    no server needs to run. STARTTLS and AUTH work as on the wire. Exit code 1 if something was
    refused.
    """
    try:
        address = fold(ip_address(client))
    except ValueError:
        raise Failure(f"--client: {client!a} is not an IP address", Exit.USAGE) from None
    installation = open_installation(current_options())
    with accounts_of(installation) as store:
        return asyncio.run(_simulate(installation, store, address, more))


async def _simulate(
    installation: Installation, store: AccountStore, address: Address, more: dict[str, object]
) -> int:
    rules = compile_now(installation, store)
    user, listener = str(more["sasl"]), str(more["listener"])
    listener = listener or default_listener(rules, signed_in=bool(user))
    _check(rules, listener, user, store)
    configuration = installation.loaded.configuration
    believed = Believed(
        fetched=_fetched(more["fetched"]),
        host_names=(str(more["host_name"]).lower(),) if more["host_name"] else (),
        signed_in=user,
    )
    with Rehearsal(configuration, rules, store, now=now, believed=believed) as rehearsal:
        encrypted = bool(more["tls"]) or (
            bool(user) and rules.listeners[listener].tls_before_sign_in
        )
        line = rehearsal.connect(address, listener, tls=encrypted)
        try:
            await _play(_Played(line, rehearsal), user)
        except LineLostError as problem:
            note(str(problem))
        finally:
            await line.close()
        return Exit.NO if any(it.verdict in _REFUSALS for it in rehearsal.cases) else Exit.DONE


def _check(rules: Rules, listener: str, user: str, store: AccountStore) -> None:
    if listener not in rules.listeners:
        known = ", ".join(rules.listeners)
        raise Failure(f"there is no listener {listener!a} for mail: there is {known}", Exit.USAGE)
    if user and store.find(user) is None:
        raise Failure(f"--sasl: there is no account {user!a}, or it is disabled", Exit.USAGE)


def _fetched(given: object) -> tuple[tuple[str, datetime], ...]:
    if not isinstance(given, tuple):
        return ()
    user, span = given
    return ((str(user), now() - parse_span(str(span))),)


class _Played:
    """A session under way: what was said, and which decisions were told already."""

    def __init__(self, line: MemoryLine, rehearsal: Rehearsal) -> None:
        self.line = line
        self._rehearsal = rehearsal
        self._told = 0
        self._taken = 0

    async def say(self, octets: bytes) -> bytes:
        """Send octets; print the reply, then why."""
        reply = await self.line.exchange(octets)
        for text in reply.decode("latin-1").splitlines():
            click.echo(escaped(text))
        sys.stdout.flush()
        cases = self._rehearsal.cases
        for case in cases[self._told :]:
            with redirect_stdout(sys.stderr):
                _tell(case)
        self._told = len(cases)
        for taken in self._rehearsal.taken[self._taken :]:
            recipients = ", ".join(str(it.mailbox) for it in taken.envelope.recipients)
            held = f", held: {taken.hold}" if taken.hold else ""
            note(f"accepted for {recipients} ({taken.octets} octets{held}); nothing is kept")
        self._taken = len(self._rehearsal.taken)
        return reply


def _tell(case: Case) -> None:
    verdict = case.verdict.value
    headline(verdict, f"{VERDICTS[verdict]} at {case.stage.value} [{case.reason.value}]")
    print_trace(case.trace)
    print_help(case.verdict not in _REFUSALS, case.would_help, WORDINGS[case.reason].fixer)


async def _play(played: _Played, user: str) -> None:
    await played.say(b"")
    if user:
        await _sign_in(played, user)
    async for text in _lines():
        reply = await played.say(text.rstrip(b"\r\n") + b"\r\n")
        if text.strip().upper() == b"STARTTLS" and reply.startswith(b"220"):
            await played.line.start_tls()
        if played.line.is_closed:
            return


async def _sign_in(played: _Played, user: str) -> None:
    """Sign in as on the wire; the rehearsal believes any password of this user."""
    await played.say(b"EHLO simulated\r\n")
    response = base64.b64encode(f"\0{user}\0simulated".encode())
    reply = await played.say(b"AUTH PLAIN " + response + b"\r\n")
    if not reply.startswith(b"235"):
        raise Failure(f"{user} cannot sign in here: {reply.decode('latin-1').strip()}")


async def _lines() -> AsyncIterator[bytes]:
    """Yield lines of standard input, at once when they are typed."""
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        yield line
