"""`posthouse probe`: one SMTP session, shown as it goes; its options are those of swaks."""

import asyncio
from ipaddress import ip_address
from typing import Final

import click
import msgspec

from posthouse.cli.doctor import say_answer
from posthouse.cli.doctor_host import ask_password
from posthouse.cli.doctor_words import Words, wanted_language
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import current_options
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, say
from posthouse.dns.answers import Answer, TemporaryFailure
from posthouse.doctor.advice import Answer as Advice
from posthouse.doctor.advice import advise
from posthouse.doctor.diagnosis import Context, diagnose
from posthouse.mail.address import AddressError, parse_mailbox
from posthouse.probe.certificate import Trust
from posthouse.probe.client_settings import SystemNames
from posthouse.probe.session import Ended, Session, Stage, TlsUse, Wanted
from posthouse.probe.talk import Line, TalkError
from posthouse.probe.visiting import SECONDS

_STAGES: Final = {
    "connect": Stage.CONNECT, "banner": Stage.BANNER, "helo": Stage.EHLO, "ehlo": Stage.EHLO,
    "first-ehlo": Stage.EHLO, "tls": Stage.TLS, "starttls": Stage.TLS, "auth": Stage.AUTH,
    "mail": Stage.MAIL, "from": Stage.MAIL, "rcpt": Stage.RCPT, "to": Stage.RCPT,
}  # fmt: skip
_MARKS: Final = {">": " -> ", "<": "<-  ", "=": "=== "}


@click.command()
@click.argument("host", required=False)
@click.option("-s", "--server", help="The host, as swaks names it.")
@click.option("-p", "--port", type=click.IntRange(1, 65535), help="25; 465 with --tls-on-connect.")
@click.option("-t", "--to", "recipients", multiple=True, help="Recipient; may be repeated.")
@click.option("-f", "--from", "sender", default="", help="Sender; --auth's user if it is left out.")
@click.option("-a", "--auth", is_flag=True, help="Sign in; asks for user and password.")
@click.option("-au", "--auth-user", default="", help="Sign in with this name.")
@click.option("--tls", is_flag=True, help="STARTTLS, or end.")
@click.option("--tls-on-connect", is_flag=True, help="TLS from the first octet.")
@click.option("--no-tls", is_flag=True, help="No STARTTLS even if it is offered.")
@click.option("--tls-verify", is_flag=True, help="End where the certificate is not trusted.")
@click.option("-q", "--quit-after", type=click.Choice([*_STAGES], case_sensitive=False))
@click.option("--ehlo", "--helo", "hello", default="", help="Our name.")
@click.option("--trust", type=click.Path(exists=True), help="PEM file of an authority to trust.")
@click.option("--unsafe-sign-in", is_flag=True, help="Say the password without trust too.")
@click.option("--timeout", default=SECONDS, show_default=True, help="Seconds to wait each time.")
@click.option("--lang", default="", help="en or zh_Hans.")
@shared_options
def probe(  # noqa: PLR0913 - one parameter for each option, called by click only
    *,
    host: str | None,
    server: str | None,
    port: int | None,
    recipients: tuple[str, ...],
    sender: str,
    auth: bool,
    auth_user: str,
    tls: bool,
    tls_on_connect: bool,
    no_tls: bool,
    tls_verify: bool,
    quit_after: str | None,
    hello: str,
    trust: str | None,
    unsafe_sign_in: bool,
    timeout: float,
    lang: str,
) -> None:
    """Hold one SMTP session with HOST and show it: EHLO, STARTTLS, AUTH, MAIL, RCPT, RSET, QUIT.

    DATA is never said, so no mail is sent. A refusal is explained. swaks users know the options.
    """
    name = _one_host(host, server)
    words = Words(wanted_language(lang))
    user = auth_user or (str(click.prompt("User", err=True)) if auth else "")
    use = _tls_use(tls=tls, on_connect=tls_on_connect, never=no_tls)
    wanted = Wanted(
        address="", server=_plain(name), port=port or (465 if tls_on_connect else 25),
        seconds=timeout, hello=_plain(hello), tls=use, user=_plain(user),
        sender=_address(sender) if sender else (user if "@" in user else ""),
        recipients=tuple(map(_address, recipients)),
        quit_after=_STAGES[quit_after.lower()] if quit_after else Stage.RCPT,
        untrusted=unsafe_sign_in, verify=tls_verify, trust=Trust(trust or ""),
    )  # fmt: skip
    note(words("probe-plan-session", host=name, port=str(wanted.port)))
    if user:
        wanted = msgspec.structs.replace(wanted, password=ask_password(words))
    record: list[Line] = [] if current_options().json else _Shown()
    ended = asyncio.run(_run(wanted, record))
    _tell(wanted, ended, record, words)
    if not ended.accepted:
        raise click.exceptions.Exit(Exit.NO)


def _one_host(host: str | None, server: str | None) -> str:
    if bool(host) == bool(server):
        raise Failure("name one host: posthouse probe HOST", Exit.USAGE)
    return host or server or ""


class _Shown(list[Line]):
    """A record that prints each line as it comes."""

    def append(self, line: Line, /) -> None:
        """Print and keep a line."""
        say(f"{_MARKS[line.mark]}{line.text}")
        super().append(line)


async def _run(wanted: Wanted, record: list[Line]) -> Ended:
    address = await _address_of(wanted.server)
    try:
        return await Session(msgspec.structs.replace(wanted, address=address), record).run()
    except TalkError as problem:
        raise Failure(f"{wanted.server} port {wanted.port}: {problem}", Exit.UNREACHABLE) from None
    except OSError as problem:  # the file of --trust
        raise Failure(f"--trust: {problem}", Exit.USAGE) from None


async def _address_of(server: str) -> str:
    try:
        return str(ip_address(server))
    except ValueError:
        found = await SystemNames().addresses(server)
    if isinstance(found, Answer):
        return str(found.values[0])
    temporary = isinstance(found, TemporaryFailure)
    code = Exit.TRY_AGAIN if temporary else Exit.UNREACHABLE
    raise Failure(f"DNS has no address for {server}", code)


def _tell(wanted: Wanted, ended: Ended, record: list[Line], words: Words) -> None:
    advice = None if ended.accepted or not ended.reply else _advice(wanted, ended, words.language)
    if current_options().json:
        content = {
            "server": wanted.server,
            "port": wanted.port,
            "ended": ended,
            "record": record,
            "answer": advice,
        }
        document("probe", msgspec.to_builtins(content))
        return
    if ended.problem:
        say(f"*** {ended.problem}")
    elif advice is not None:
        say(f"\n{words('probe-heading-explained')}: {advice.title}")
        say_answer(advice)


def _advice(wanted: Wanted, ended: Ended, language: str) -> Advice | None:
    if ended.problem:
        return None
    signed_in = None if ended.stage is Stage.AUTH else ended.signed_in
    context = Context(where="dialog", signed_in=signed_in, port=wanted.port)
    return advise(diagnose(ended.reply, context), language)


def _tls_use(*, tls: bool, on_connect: bool, never: bool) -> TlsUse:
    if tls + on_connect + never > 1:
        raise Failure("--tls, --tls-on-connect and --no-tls exclude each other", Exit.USAGE)
    if on_connect:
        return TlsUse.ON_CONNECT
    return TlsUse.REQUIRED if tls else TlsUse.NEVER if never else TlsUse.OFFERED


def _plain(text: str) -> str:
    if not text.isprintable():
        raise Failure("control characters have no place here", Exit.USAGE)
    return text


def _address(text: str) -> str:
    try:
        return str(parse_mailbox(text.strip("<>")))
    except AddressError:
        raise Failure(f"{text!a} is no mail address", Exit.USAGE) from None
