"""`posthouse ask`: may this mail pass, why, and what would help?"""

from ipaddress import ip_address

import click

from posthouse.cli.check import warn_of_errors
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, now, open_installation
from posthouse.cli.live_facts import with_live_facts
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, say
from posthouse.cli.rules_now import StoredDirectory, compile_now
from posthouse.cli.spans_of_time import parse_span
from posthouse.cli.tree import print_decision
from posthouse.mail.address import AddressError, Mailbox, parse_mailbox
from posthouse.policy.counterfactual import would_help
from posthouse.policy.decision import Decision, Verdict
from posthouse.policy.facts import Request
from posthouse.policy.networks import fold
from posthouse.policy.questions import Question, request_of
from posthouse.policy.reasons import WORDINGS
from posthouse.policy.rules import Rules
from posthouse.policy.transaction import decide_transaction, deciding
from posthouse.server.incoming import site_words
from posthouse.sessions.wording import reply_to
from posthouse.sessions.wording_fields import Particulars


@click.command()
@click.option("--client", required=True, metavar="IP", help="Address of the client.")
@click.option("--from", "sender", required=True, metavar="A", help='Reverse-path; "" for null.')
@click.option("--to", "recipient", required=True, metavar="B", help="Recipient.")
@click.option("--sasl", metavar="USER", help="Who signed in.")
@click.option("--submission-password", is_flag=True, help="Signed in with a separate password.")
@click.option("--tls/--no-tls", default=True, help="Whether the session is encrypted.")
@click.option("--listener", default="", metavar="L", help="mx, submission, ...")
@click.option("--fetched", metavar="TIME", help="Time since the sender fetched mail: 3min.")
@click.option("--host-name", default="", metavar="NAME", help="A listed name that points there.")
@click.option("--header-from", metavar="A", help="From field, if it differs.")
@click.option("--reply-to", metavar="A", help="Reply-To field.")
@shared_options
def ask(client: str, sender: str, recipient: str, **more: object) -> int:
    """Ask the policy about one mail: the decision, its reasons and what would help.

    Nothing is sent, and no server needs to run. One that runs is asked who fetched mail from that
    address lately, and which watched names point there.
    """
    installation = open_installation(current_options())
    with installation.accounts() as store:
        rules = compile_now(installation, store)
        question = _question(client, sender, recipient, more)
        _check_listener(question.listener, rules)
        directory = StoredDirectory(store, rules)
        if question.signed_in and directory.account(question.signed_in) is None:
            raise Failure(f"--sasl: there is no open account {question.signed_in}", Exit.USAGE)
        request = request_of(question, rules, directory)
        if question.fetched_ago is None and not question.host_name:
            request = with_live_facts(request, installation, store)
        decision = deciding(decide_transaction(request, rules))
        _print(installation, request, rules, decision)
        warn_of_errors(installation)
    return Exit.DONE if decision.accepted else Exit.NO


def _question(client: str, sender: str, recipient: str, more: dict[str, object]) -> Question:
    def text(name: str) -> str:
        return str(more[name] or "")

    try:
        address = fold(ip_address(client))
    except ValueError:
        raise Failure(f"--client: {client!a} is not an IP address", Exit.USAGE) from None
    return Question(
        client=address,
        reverse_path=None if sender in ("", "<>") else _mailbox("--from", sender),
        recipient=_mailbox("--to", recipient),
        at=now(),
        listener=text("listener"),
        tls=bool(more["tls"]),
        signed_in=_optional("--sasl", text("sasl")),
        submission_password=bool(more["submission_password"]),
        fetched_ago=parse_span(text("fetched")) if more["fetched"] else None,
        host_name=text("host_name"),
        author=_optional("--header-from", text("header_from")),
        reply_to=_optional("--reply-to", text("reply_to")),
    )


def _optional(option: str, text: str) -> Mailbox | None:
    return _mailbox(option, text) if text else None


def _mailbox(option: str, text: str) -> Mailbox:
    try:
        return parse_mailbox(text.strip("<>"))
    except AddressError as problem:
        raise Failure(f"{option}: {text!a} is not an address: {problem}", Exit.USAGE) from None


def _check_listener(listener: str, rules: Rules) -> None:
    if listener and listener not in rules.listeners:
        known = ", ".join(rules.listeners)
        raise Failure(f"there is no listener {listener!a} for mail: there is {known}", Exit.USAGE)


def _print(installation: Installation, request: Request, rules: Rules, decision: Decision) -> None:
    helpful = would_help(request, rules, decision)
    site = site_words(installation.loaded.configuration)
    reply = reply_to(decision, request, rules, site, Particulars())
    wording = WORDINGS[decision.reason]
    if current_options().json:
        document(
            "decision",
            {
                "verdict": decision.verdict,
                "reason": decision.reason,
                "reply": str(reply) if decision.verdict is not Verdict.ACCEPT else "",
                "meaning": wording.meaning,
                "stage": decision.stage,
                "listener": request.client.listener,
                "trace": decision.trace,
                "allowed": decision.allowed,
                "recognitions": decision.recognitions,
                "would_help": helpful,
                "fixer": wording.fixer,
            },
        )
        return
    told = f"[{decision.reason.value}]"
    if decision.verdict is not Verdict.ACCEPT:
        told = f"{reply.code} {reply.status} {told} {reply.text.splitlines()[0]}"
    print_decision(decision, told, helpful)
    if decision.accepted:
        say(f"because: {wording.meaning}")
