"""What to tell the person: one sentence, who can fix it, the steps, and a text for the provider."""

from gettext import NullTranslations
from typing import Final

from msgspec import Struct

from posthouse.doctor.catalogue import Knowledge, shipped
from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import CONFIDENT, Diagnosis, Finding, Situation
from posthouse.doctor.translation import translations
from posthouse.doctor.wording import CauseWording, Wordings
from posthouse.policy.reasons import Fixer

_FAMILIES: Final = {
    "php": "developer", "python": "developer", "nodemailer": "developer", "java": "developer",
    "dotnet": "developer", "android-mail": "k9",
}  # fmt: skip
PROGRAM_NAMES: Final = {
    "outlook": "Outlook", "new-outlook": "new Outlook", "outlook-express": "Outlook Express",
    "windows-live-mail": "Windows Live Mail", "apple-mail": "Apple Mail", "ios-mail": "iPhone/iPad",
    "thunderbird": "Thunderbird", "k9": "K-9 Mail", "printer": "printer/scanner",
    "developer": "program code",
}  # fmt: skip
# Remedies of single catalogue entries that say more than the cause does.
_TELLING_REMEDIES: Final = frozenset(
    {
        "verify-identity", "pop-login", "pop-busy", "register-ip", "recipient-server-config",
        "ambiguous-auth-or-typo", "no-starttls",
    }
)  # fmt: skip
_SETTINGS_CAUSES: Final = frozenset(
    {Cause.RELAY_DENIED, Cause.AUTH_REQUIRED, Cause.MUST_POP_FIRST, Cause.SILENT_DROP}
)


class Way(Struct, frozen=True):
    """One thing that helps: a sentence, and numbered steps if there is something to click."""

    text: str
    steps: tuple[str, ...] = ()


class Answer(Struct, frozen=True, kw_only=True):
    """The advice, in one language.

    Attributes:
        fixer: Who can fix it; None when that is not clear.
        program: Name of the program the steps are for, "" for any.
        ways: What helps, the best first.
        choices: Programs there are own steps for.
        more: Further errors in the paste: title and sentence.
        provider: Text to copy for the provider.
    """

    language: str
    cause: Cause
    title: str
    sentence: str
    fixer: Fixer | None
    fixer_text: str
    program: str
    ways: tuple[Way, ...]
    choices: tuple[str, ...]
    possible: tuple[str, ...]
    more: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    question: str
    question_answers: tuple[str, ...]
    provider: str


class _Speaker:
    """Words in one language."""

    def __init__(self, knowledge: Knowledge, language: str) -> None:
        self.wordings: Wordings = knowledge.wordings
        self._translations: NullTranslations = translations(language)

    def say(self, message: str) -> str:
        return self._translations.gettext(message)

    def word(self, key: str) -> str:
        return self.say(self.wordings.words[key])

    def cause(self, cause: Cause) -> CauseWording:
        return self.wordings.cause[cause]


def advise(
    diagnosis: Diagnosis, language: str = "en", client: str = "", knowledge: Knowledge | None = None
) -> Answer:
    """Turn a diagnosis into advice.

    Args:
        diagnosis: From `diagnose`.
        language: One of `translation.LANGUAGES`.
        client: Id of the mail program if the person named it; otherwise the one recognised.
        knowledge: The same as for the diagnosis.
    """
    speaker = _Speaker(knowledge or shipped(), language)
    first = diagnosis.findings[0]
    wording = speaker.cause(first.cause)
    fixer, remedies = _fixer_and_remedies(diagnosis, first, wording)
    program = client or diagnosis.clues.program
    program = _FAMILIES.get(program, program)
    choices = _choices(speaker, remedies)
    return Answer(
        language=language,
        cause=first.cause,
        title=speaker.say(wording.title),
        sentence=_sentence(speaker, diagnosis, wording),
        fixer=fixer,
        fixer_text=speaker.word(f"you-{fixer.value}" if fixer else "unknown-fixer"),
        program=PROGRAM_NAMES.get(program, "") if program in choices else "",
        ways=tuple(_way(speaker, key, program, diagnosis.clues.kind) for key in remedies),
        choices=choices,
        possible=_possible(speaker, diagnosis),
        more=_more(speaker, diagnosis),
        notes=_notes(speaker, diagnosis),
        question=speaker.word(f"question-{diagnosis.question.id}") if diagnosis.question else "",
        question_answers=_answers(speaker, diagnosis),
        # Where the other side, or only time, can mend it, one's own provider need not be asked.
        provider=_provider_text(speaker, diagnosis)
        if fixer not in (Fixer.RECIPIENT, Fixer.NOBODY)
        else "",
    )


def _sentence(speaker: _Speaker, diagnosis: Diagnosis, wording: CauseWording) -> str:
    key = f"situation-{diagnosis.situation.value}"
    return speaker.word(key) if key in speaker.wordings.words else speaker.say(wording.sentence)


def _fixer_and_remedies(
    diagnosis: Diagnosis, first: Finding, wording: CauseWording
) -> tuple[Fixer | None, tuple[str, ...]]:
    if diagnosis.situation is Situation.RECIPIENT_SERVER:
        return Fixer.RECIPIENT, ("recipient-server-config", "check-recipient")
    if diagnosis.situation is Situation.SIGNED_IN:
        return Fixer.OPERATOR, ("ask-provider", "local-server", "own-sender")
    if first.remedy in _TELLING_REMEDIES:
        return wording.fixer, tuple(dict.fromkeys([first.remedy, *wording.remedies]))
    unclear = first.cause is Cause.UNKNOWN or diagnosis.situation is Situation.UNDECIDED
    fixer = None if unclear and first.cause is Cause.UNKNOWN else wording.fixer
    return fixer, wording.remedies


def _way(speaker: _Speaker, key: str, program: str, kind: str) -> Way:
    remedy = speaker.wordings.remedy[key]
    action = speaker.wordings.steps.get(remedy.steps, {})
    steps = action.get(program, action.get("any", ()))
    # Settings of programs do not concern people who use web mail.
    return Way(
        speaker.say(remedy.text), tuple(map(speaker.say, steps)) if kind != "webmail" else ()
    )


def _choices(speaker: _Speaker, remedies: tuple[str, ...]) -> tuple[str, ...]:
    actions = (
        speaker.wordings.steps.get(speaker.wordings.remedy[key].steps, {}) for key in remedies
    )
    return tuple(dict.fromkeys(name for action in actions for name in action if name != "any"))


def _possible(speaker: _Speaker, diagnosis: Diagnosis) -> tuple[str, ...]:
    if diagnosis.findings[0].confidence >= CONFIDENT:
        return ()
    found = {finding.cause for finding in diagnosis.findings}
    others = [c for c in diagnosis.candidates if c not in found][:2]
    return tuple(speaker.say(speaker.cause(cause).title) for cause in others)


def _more(speaker: _Speaker, diagnosis: Diagnosis) -> tuple[tuple[str, str], ...]:
    wordings = [speaker.cause(finding.cause) for finding in diagnosis.findings[1:]]
    return tuple((speaker.say(w.title), speaker.say(w.sentence)) for w in wordings)


def _notes(speaker: _Speaker, diagnosis: Diagnosis) -> tuple[str, ...]:
    notes = [speaker.word(f"note-{note}") for note in diagnosis.notes]
    first = diagnosis.findings[0]
    if first.cause is not Cause.UNKNOWN and first.confidence < CONFIDENT:
        notes.append(speaker.word("note-guess"))
    if first.cause in _SETTINGS_CAUSES and diagnosis.clues.kind in {"", "client"}:
        notes.append(speaker.word("note-web-mail-general"))
    return tuple(notes)


def _answers(speaker: _Speaker, diagnosis: Diagnosis) -> tuple[str, ...]:
    if diagnosis.question is None:
        return ()
    if diagnosis.question.id == "which":
        causes = (Cause(answer) for answer in diagnosis.question.answers)
        return tuple(speaker.say(speaker.cause(cause).title) for cause in causes)
    return tuple(speaker.word(answer) for answer in diagnosis.question.answers)


def _provider_text(speaker: _Speaker, diagnosis: Diagnosis) -> str:
    clues, cause = diagnosis.clues, diagnosis.findings[0].cause
    if cause is Cause.UNKNOWN:
        return ""
    lines = [speaker.word("provider-hello"), speaker.word("provider-time")]
    if clues.server or clues.port:
        fields = {"server": clues.server or "?", "port": clues.port or "?"}
        lines.append(speaker.word("provider-server") % fields)
    if clues.reply:
        lines.append(speaker.word("provider-reply") % {"reply": clues.reply})
    title = speaker.say(speaker.cause(cause).title)
    lines.append(speaker.word("provider-understood") % {"title": title})
    asks = cause in _SETTINGS_CAUSES or cause is Cause.IP_NOT_LISTED
    lines.append(speaker.word("provider-options" if asks else "provider-other"))
    return "\n".join(lines)
