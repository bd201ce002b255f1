"""`posthouse doctor`: paste an error, know what to do. Reads, answers, and keeps nothing."""

import os
import sys
from pathlib import Path
from typing import Final

import click
import msgspec

from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import current_options
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, say
from posthouse.doctor.advice import Answer, advise
from posthouse.doctor.catalogue import shipped
from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import Context, Diagnosis, diagnose
from posthouse.doctor.redaction import redact as redacted
from posthouse.doctor.translation import language_of, translations

_OCTETS_MAX: Final = 4 * 1024 * 1024
_PROGRAMS: Final = (
    "outlook", "new-outlook", "outlook-express", "windows-live-mail", "apple-mail", "ios-mail",
    "thunderbird", "k9", "printer", "developer",
)  # fmt: skip


@click.command()
@click.argument("text", required=False)
@click.option("--client", type=click.Choice(_PROGRAMS), help="The mail program the steps are for.")
@click.option(
    "--where",
    type=click.Choice(["dialog", "bounce", "log"]),
    help="Where it was seen: at once in a program, in a message that came back, in a log.",
)
@click.option("--signed-in/--not-signed-in", default=None, help="Does the program sign in to send?")
@click.option("--fetch-first", is_flag=True, help="The provider wants mail fetched first.")
@click.option("--redact", is_flag=True, help="Print the text without addresses and secrets.")
@click.option("--lang", default="", help="en or zh_Hans.")
@shared_options
def doctor(  # noqa: PLR0913 - one parameter for each option, called by click only
    text: str | None,
    client: str | None,
    where: str | None,
    signed_in: bool | None,  # noqa: FBT001 - click passes it by name
    *,
    fetch_first: bool,
    redact: bool,
    lang: str,
) -> None:
    """Say what an error about sending mail means, who can fix it, and how.

    TEXT is the error itself, or the name of a file (a whole message too), or - for standard input.
    Nothing is stored and nothing is sent anywhere.
    """
    pasted = _pasted(text)
    if redact:
        shown = pasted.decode("utf-8", "replace") if isinstance(pasted, bytes) else pasted
        say(redacted(shown))
        return
    context = Context(
        where=where or "", signed_in=signed_in, fetch_first=fetch_first or None, client=client or ""
    )
    diagnosis = diagnose(pasted, context)
    language = _language(lang)
    answer = advise(diagnosis, language, client or "")
    if current_options().json:
        document("diagnosis", _as_document(diagnosis, answer))
    else:
        _print(diagnosis, answer)
    if diagnosis.cause is Cause.UNKNOWN:
        raise click.exceptions.Exit(Exit.NO)


def _pasted(text: str | None) -> str | bytes:
    if text is None and sys.stdin.isatty():
        note("Paste the error, then press Ctrl-D.")
    if text is None or text == "-":
        return sys.stdin.buffer.read(_OCTETS_MAX)
    if "\n" not in text and len(text) < 1024:
        path = Path(text)
        try:
            if path.is_file():
                with path.open("rb") as file:
                    return file.read(_OCTETS_MAX)
        except OSError as problem:
            raise Failure(f"cannot read {text}: {problem.strerror}") from None
    return text


def _language(lang: str) -> str:
    environment = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return language_of(lang or current_options().lang or environment)


def _as_document(diagnosis: Diagnosis, answer: Answer) -> dict[str, object]:
    content: dict[str, object] = msgspec.to_builtins(diagnosis)
    del content["schema"]  # `document` writes it
    return {**content, "answer": msgspec.to_builtins(answer)}


def _print(diagnosis: Diagnosis, answer: Answer) -> None:
    words, translated = shipped().wordings.words, translations(answer.language)

    def word(key: str) -> str:
        return translated.gettext(words[key])

    first = diagnosis.findings[0]
    sure = f"{first.confidence:.0%}"
    say(f"{answer.title}   ({first.cause.value}, {sure})")
    say(f"  {answer.sentence}")
    say(f"  {word('heading-fixer')}: {answer.fixer_text}")
    _section(word("heading-why"), [f"“{e.words}”" for e in first.evidence[:3]])
    heading = word("heading-steps")
    if answer.program:
        heading += ": " + word("heading-steps-for") % {"program": answer.program}
    for way in answer.ways:
        say(f"\n{heading}" if heading else "")
        heading = word("heading-other") if way is answer.ways[0] else ""
        say(f"  {way.text}")
        for number, step in enumerate(way.steps, 1):
            say(f"    {number}. {step}")
    _section(word("heading-more"), [f"{title}: {sentence}" for title, sentence in answer.more])
    _section(word("heading-possible"), answer.possible)
    _section(answer.question, answer.question_answers)
    for remark in answer.notes:
        say(f"\n  {remark}")
    _section(word("heading-provider"), answer.provider.splitlines())


def _section(heading: str, lines: tuple[str, ...] | list[str]) -> None:
    if lines:
        say(f"\n{heading}")
        for line in dict.fromkeys(lines):
            say(f"  {line}")
