"""`posthouse prove`: no stranger relays, and exactly who may."""

from datetime import date, datetime

import click

from posthouse.accounts.store import Alias
from posthouse.cli.check import warn_of_errors
from posthouse.cli.exits import Exit
from posthouse.cli.installation import Installation, current_options, now, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, headline, say, table
from posthouse.cli.rules_now import compile_now
from posthouse.config.compile import compile_rules
from posthouse.policy.proof import Passage, Proof
from posthouse.policy.proof import prove as prove_closed
from posthouse.policy.rules import Ownership, Rules


@click.command()
@shared_options
def prove() -> int:
    """Prove that no stranger may relay, or show the shortest session in which one would.

    Every class of clients, senders and recipients that the rules can tell apart is put to the
    same functions that decide on the wire.
    """
    installation = open_installation(current_options())
    rules, forwards = _rules_and_forwards(installation)
    shown = prove_closed(rules, now())
    if current_options().json:
        document("proof", {"proof": shown, "forwards": forwards})
    else:
        _print(shown, forwards, rules)
    wrong = warn_of_errors(installation)
    if not shown.closed:
        return Exit.NO
    return Exit.CONFIGURATION if wrong else Exit.DONE


def _rules_and_forwards(installation: Installation) -> tuple[Rules, list[dict[str, object]]]:
    """The rules with grants, and aliases that lead outside; without a storage, the file alone."""
    loaded = installation.loaded
    if not (installation.directory / "accounts.db").exists():
        name = installation.path.name
        return compile_rules(loaded.configuration, loaded.spans, (), name), []
    with installation.accounts() as store:
        rules = compile_now(installation, store)
        return rules, [_forward(alias) for alias in store.aliases() if _leads_out(alias, rules)]


def _leads_out(alias: Alias, rules: Rules) -> bool:
    return any(target.domain not in rules.local_domains for target in alias.targets)


def _forward(alias: Alias) -> dict[str, object]:
    return {"address": str(alias.address), "targets": [str(it) for it in alias.targets]}


def _print(shown: Proof, forwards: list[dict[str, object]], rules: Rules) -> None:
    questions = f"{shown.questions:,} questions over {shown.classes} classes of addresses"
    if shown.closed:
        headline("ok", f"closed: no stranger relays ({questions})")
    else:
        headline("wrong", f"OPEN: strangers may relay ({questions})")
    for witness in shown.witnesses:
        say(f"\n{witness.why}  {witness.where}".rstrip())
        say(f"posthouse simulate --client {witness.client} --listener {witness.listener} <<'END'")
        say("\n".join(witness.session))
        say("END")
    say("\nwho may relay")
    if not shown.passages:
        say("  nobody")
    else:
        table(
            ("DOOR", "NAME", "LISTENERS", "ADDRESSES", "UNTIL", "SENDS AS", "SENDS TO", "LINE"),
            [_row(it, rules) for it in shown.passages],
        )
    for domain, where in shown.passed_on:
        say(f"passed on for anybody: mail for {domain}  {where}")
    for forward in forwards:
        targets = forward["targets"]
        assert isinstance(targets, list)
        say(f"forwarded for anybody: mail for {forward['address']} to {', '.join(targets)}")


def _row(it: Passage, rules: Rules) -> tuple[str, ...]:
    return (
        it.kind,
        it.name,
        ", ".join(it.listeners) or "every",
        "any" if it.addresses is None else f"{it.addresses:,}",
        f"{_end(it.until)}{' (ended)' if it.ended else ''}",
        ", ".join(it.sends_as[:3]) or _own(it.kind, rules),
        ", ".join(it.sends_to[:3]) or "anybody",
        it.where,
    )


def _own(kind: str, rules: Rules) -> str:
    """Whose addresses may be used where `sends_as` says nothing."""
    if rules.identity.reverse_path is Ownership.ANYTHING and kind != "pop-window":
        return "any address"
    by_machine = ("network", "host-name", "certificate")
    return "every local address" if kind in by_machine else "own addresses"


def _end(until: date | datetime | None) -> str:
    if until is None:
        return "no end"
    return f"{until:%Y-%m-%d %H:%M}" if isinstance(until, datetime) else f"{until}"
