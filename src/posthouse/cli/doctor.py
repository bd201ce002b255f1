"""`posthouse doctor`: paste an error, know what to do. Reads, answers, and keeps nothing."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from posthouse.cli.doctor_words import Words, wanted_language
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import current_options
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, say
from posthouse.doctor.advice import Answer, advise
from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import Context, Diagnosis, diagnose
from posthouse.doctor.redaction import redact as redacted

_OCTETS_MAX: Final = 4 * 1024 * 1024
COMMANDS: Final = {
    "text": ("doctor", "explain_text"),
    "host": ("doctor_host", "host"),
    "settings": ("doctor_settings", "compare_settings"),
}
PROGRAMS: Final = (
    "outlook", "new-outlook", "outlook-express", "windows-live-mail", "apple-mail", "ios-mail",
    "thunderbird", "k9", "printer", "developer",
)  # fmt: skip


class Doctor(click.Group):
    """A group whose default command is `text`: what is no command is an error to explain."""

    _FLAGS: Final = frozenset({"--json"})
    _WITH_VALUE: Final = frozenset({"--config", "--lang"})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `text` in front unless a command is named; shared options may come before it."""
        position = 0
        while position < len(args) and args[position] in self._FLAGS | self._WITH_VALUE:
            position += 2 if args[position] in self._WITH_VALUE else 1
        named = args[position] if position < len(args) else ""
        if named in COMMANDS:
            args = [named, *args[:position], *args[position + 1 :]]
        elif args[:1] not in (["--help"], ["-h"]):
            args = ["text", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's file and return the command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"posthouse.cli.{module}"), function)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Doctor, invoke_without_command=False)
def doctor() -> None:
    """Say what an error about sending mail means; look at a mail host; compare settings.

    What is no command below is taken as an error to explain, or as the name of a file with one:

        posthouse doctor "550 5.7.1 Relaying denied"
    """


@click.command("text")
@click.argument("text", required=False)
@click.option("--client", type=click.Choice(PROGRAMS), help="The mail program the steps are for.")
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
def explain_text(  # noqa: PLR0913 - one parameter for each option, called by click only
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
    language = wanted_language(lang)
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
            is_file = path.is_file()
        except (OSError, ValueError):  # too long for a name, or no name at all: it is a text
            return text
        try:
            if is_file:
                with path.open("rb") as file:
                    return file.read(_OCTETS_MAX)
        except OSError as problem:
            raise Failure(f"cannot read {text}: {problem.strerror}") from None
    return text


def _as_document(diagnosis: Diagnosis, answer: Answer) -> dict[str, object]:
    content: dict[str, object] = msgspec.to_builtins(diagnosis)
    del content["schema"]  # `document` writes it
    return {**content, "answer": msgspec.to_builtins(answer)}


def _print(diagnosis: Diagnosis, answer: Answer) -> None:
    first = diagnosis.findings[0]
    say(f"{answer.title}   ({first.cause.value}, {first.confidence:.0%})")
    say_answer(answer, [f"“{e.words}”" for e in first.evidence[:3]])


def say_answer(answer: Answer, why: Sequence[str] = ()) -> None:
    """Print the advice below its title, and the words that speak for it."""
    word = Words(answer.language)
    say(f"  {answer.sentence}")
    say(f"  {word('heading-fixer')}: {answer.fixer_text}")
    say_section(word("heading-why"), why)
    heading = word("heading-steps")
    if answer.program:
        heading += ": " + word("heading-steps-for", program=answer.program)
    for way in answer.ways:
        say(f"\n{heading}" if heading else "")
        heading = word("heading-other") if way is answer.ways[0] else ""
        say(f"  {way.text}")
        for number, step in enumerate(way.steps, 1):
            say(f"    {number}. {step}")
    if answer.choices and not answer.program:
        say("\n  " + word("choose-program", programs=", ".join(answer.choices)))
    say_section(word("heading-more"), [f"{title}: {sentence}" for title, sentence in answer.more])
    say_section(word("heading-possible"), answer.possible)
    say_section(answer.question, answer.question_answers)
    for remark in answer.notes:
        say(f"\n  {remark}")
    say_section(word("heading-provider"), answer.provider.splitlines())


def say_section(heading: str, lines: Sequence[str]) -> None:
    """Print lines under a heading, each once; nothing if there is none."""
    if lines:
        say(f"\n{heading}")
        for line in dict.fromkeys(lines):
            say(f"  {line}")
