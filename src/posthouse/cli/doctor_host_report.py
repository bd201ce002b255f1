"""How a probed host is shown to people."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import click

from posthouse.cli.doctor import say_answer, say_section
from posthouse.cli.doctor_words import Words
from posthouse.cli.output import say, styled, table
from posthouse.doctor.advice import advise
from posthouse.doctor.settings import Outgoing
from posthouse.policy.reasons import Fixer
from posthouse.probe.certificate import TlsSeen
from posthouse.probe.client_settings import HostSeen
from posthouse.probe.doors import Visit
from posthouse.probe.published import Published
from posthouse.probe.trial import Tried
from posthouse.probe.verdict import Finding, Severity, Verdict

_COLUMNS: Final = ("host", "port", "state", "tls", "certificate", "sign-in", "size", "greeting")
_GREETING_SIGNS_MAX: Final = 60
_MARKS: Final = {Severity.OK: "+", Severity.NOTE: "-", Severity.PROBLEM: "!"}


def show(
    seen: HostSeen, verdict: Verdict, words: Words, moment: datetime, *, transcript: bool
) -> None:
    """Print everything, the verdict first."""
    if verdict.outgoing is None:
        _say_verdict("wrong", words("probe-heading-cannot"))
    elif verdict.trusted:
        _say_verdict("ok", words("probe-heading-can"))
    else:
        _say_verdict("defer", words("probe-heading-untrusted"))
    say()
    table([words(f"probe-column-{it}") for it in _COLUMNS], [_row(it, words) for it in seen.visits])
    for heading, settings in (
        ("probe-heading-settings", verdict.outgoing),
        ("probe-heading-fetching", verdict.fetching),
    ):
        if settings is not None:
            say_section(words(heading), _settings(settings, words))
    say_section(words("probe-heading-published"), [*map(_published, seen.published)])
    if seen.attempts:
        say(f"\n{words('probe-heading-tried')}")
        for attempt in seen.attempts:
            say(f"  {_tried(attempt, words)}")
    _show_findings(verdict.findings, words)
    say_section(words("heading-provider"), _for_provider(seen, verdict, words, moment))
    if transcript:
        say_section(
            words("probe-heading-record"),
            [f"{number:4} {it.mark} {it.text}" for number, it in enumerate(seen.record, 1)],
        )
    if verdict.explained is not None:
        answer = advise(verdict.explained, words.language)
        say(f"\n{words('probe-heading-explained')}: {answer.title}")
        say_answer(answer)


def _show_findings(findings: Iterable[Finding], words: Words) -> None:
    for number, it in enumerate(findings):
        if not number:
            say(f"\n{words('probe-heading-findings')}")
        who = f"[{words(f'probe-you-{it.fixer.value}')}] " if it.fixer else ""
        sentence = words(f"probe-finding-{it.id}", **it.fields)
        mark = _MARKS[it.severity]
        say(f"  {mark} {who}{sentence}")


def _say_verdict(style: str, sentence: str) -> None:
    click.echo(styled(sentence, style))


def _for_provider(seen: HostSeen, verdict: Verdict, words: Words, moment: datetime) -> list[str]:
    """Return what the provider should mend, as a text to copy."""
    theirs = [
        words(f"probe-finding-{it.id}", **it.fields)
        for it in verdict.findings
        if it.fixer is Fixer.OPERATOR
    ]
    if not theirs:
        return []
    date = f"{moment:%Y-%m-%d %H:%M} UTC"
    return [words("probe-provider-hello", host=seen.host, date=date), *(f"- {it}" for it in theirs)]


def _row(it: Visit, words: Words) -> tuple[str, ...]:
    size = it.offer.size_octets_max
    state = words(f"probe-reach-{it.reach.value}")
    return (
        it.host,
        f"{it.door.port} {it.door.service.value}",
        state,
        _encryption(it),
        _certificate(it.tls, words) if it.tls else "-",
        _mechanisms(it, words),
        f"{size / 1_000_000:.0f} MB" if size else "-",
        it.greeting[:_GREETING_SIGNS_MAX],
    )


def _encryption(it: Visit) -> str:
    if it.tls is None:
        return "-"
    if it.door.service.from_start:
        return it.tls.version
    return f"{'STLS' if it.door.service.fetches else 'STARTTLS'} {it.tls.version}"


def _mechanisms(it: Visit, words: Words) -> str:
    clear = " ".join(it.clear.mechanisms) if it.clear and it.tls else ""
    before = words("probe-before-tls", mechanisms=clear) if clear else ""
    return f"{' '.join(it.offer.mechanisms)} {before}".strip() or "-"


def _certificate(tls: TlsSeen, words: Words) -> str:
    certificate = tls.certificate
    ends = f"{certificate.ends:%Y-%m-%d}" if certificate else "?"
    if tls.problem is None:
        return words("probe-trusted", ends=ends)
    fields = {
        "ends": ends,
        "names": ", ".join(certificate.names[:3]) if certificate else "?",
        "issuer": certificate.issuer if certificate else "?",
    }
    return words(f"probe-problem-{tls.problem.value}", **fields)


def _settings(right: Outgoing, words: Words) -> list[str]:
    fields = (
        ("fields-server", right.server),
        ("fields-port", str(right.port)),
        ("fields-security", right.security),
        ("fields-authentication", words("authentication-on")),
        ("fields-user", right.user or words("fields-address")),
    )
    return [f"{words(key)}: {value}" for key, value in fields]


def _published(it: Published) -> str:
    return f"{it.source.value}: {it.host} {it.door.port} {it.door.service.value}  ({it.place})"


def _tried(it: Tried, words: Words) -> str:
    kind = words(f"probe-kind-{it.kind.value}")
    ending = words(f"probe-ending-{it.ending.value}")
    place = f"{it.host}:{it.port}" if it.port else it.host
    cause = f" ({it.cause.value})" if it.cause else ""
    return f"{kind}, {place}, {it.what}: {ending}{cause}  {it.reply}".rstrip()
