"""The doctor's answer as a value: which causes, how sure, and why.

Deterministic and offline: the same text, context and knowledge give the same diagnosis.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from posthouse.doctor.catalogue import Knowledge, shipped
from posthouse.doctor.causes import Cause
from posthouse.doctor.clues import Clues, gather
from posthouse.doctor.reading import Paste, read
from posthouse.doctor.replies import Clause, find_clauses
from posthouse.doctor.weighing import Found, Sign, Weighed, find_entries, weigh
from posthouse.doctor.words import Folded, fold_with_origin

SCHEMA: Final = "posthouse.diagnosis/1"

CONFIDENT: Final = 0.65  # from here the answer is stated, below it is offered as a guess
_POSSIBLE: Final = 0.045  # from here a cause is worth naming beside others
_HEARD: Final = 0.3  # below this nothing was understood
_REPLY_COUNTS: Final = 0.55
_PROSE_COUNTS: Final = 0.6
_PROSE_WINS: Final = 0.85
_WHY_NOT_CONNECTED: Final = frozenset({Cause.AUTH_FAILED, Cause.TLS_FAILED, Cause.SERVER_NOT_FOUND})
_CANDIDATES_MAX: Final = 5
_KIND_WEIGHT: Final = {"reply": 1.0, "sentence": 0.97, "paragraph": 0.85}


class Context(Struct, frozen=True, kw_only=True):
    """What is known beside the text, for example from an answer to the question.

    Attributes:
        where: "dialog" when the error came at once in a program, "bounce" when it came back in a
            message, "log" when it is the server's; "" = unknown.
        signed_in: Whether the program signs in for sending.
        fetch_first: Whether the provider wants mail fetched before sending.
        port: The port used for sending.
        client: Id of the mail program.
    """

    where: str = ""
    signed_in: bool | None = None
    fetch_first: bool | None = None
    port: int | None = None
    client: str = ""


_NO_CONTEXT: Final = Context()


class Situation(StrEnum):
    """Which of the cases with the same words this is; only for `relay_denied`."""

    NOT_SIGNED_IN = "not-signed-in"
    SIGNED_IN = "signed-in"
    STRANGER = "stranger"
    RECIPIENT_SERVER = "recipient-server"
    UNDECIDED = "undecided"
    NONE = ""


class Evidence(Struct, frozen=True):
    """Words of the paste that speak for a cause, and what was seen in them."""

    words: str
    sign: str


class Finding(Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        confidence: 0 to 1; `CONFIDENT` and more is stated, less is offered as a guess.
        remedy: Key of the remedies in data/advice.toml.
        entry: Id of the catalogue entry that was recognised, "" when understood by other signs.
    """

    cause: Cause
    confidence: float
    evidence: tuple[Evidence, ...]
    remedy: str = ""
    entry: str = ""


class Question(Struct, frozen=True):
    """The one thing that would decide: its id and the ids of the possible answers."""

    id: str
    answers: tuple[str, ...]


class Diagnosis(Struct, frozen=True, kw_only=True):
    """What is wrong.

    Attributes:
        findings: The first cause first; never empty: an unknown text has the finding `unknown`.
        candidates: Causes from the likeliest, findings first.
        question: At most one.
        notes: Ids of remarks: "cut", "binary", "empty", "web-mail".
    """

    schema: str = SCHEMA
    findings: tuple[Finding, ...]
    candidates: tuple[Cause, ...]
    situation: Situation = Situation.NONE
    clues: Clues = Clues()
    question: Question | None = None
    notes: tuple[str, ...] = ()

    @property
    def cause(self) -> Cause:
        """The first cause."""
        return self.findings[0].cause


def diagnose(
    text: str | bytes, context: Context = _NO_CONTEXT, knowledge: Knowledge | None = None
) -> Diagnosis:
    """Say what a pasted text means.

    Args:
        text: Anything: a line, a dialog, a log, a whole message; octets in any encoding.
        context: What else is known.
        knowledge: The catalogue to use; by default the one that comes with the package.
    """
    knowledge = knowledge or shipped()
    paste = read(text)
    folded = fold_with_origin(paste.text)
    found = find_entries(folded.text, knowledge.entries, _needs(context))
    clauses = find_clauses(folded, knowledge.rules.codes)
    weighed = weigh(folded, clauses, found, knowledge)
    ordered = _in_order(weighed)
    findings = _decided(_findings(ordered, folded, found), context)
    first = ordered[0].clause if ordered else None
    clues = gather(folded, paste, _reply_of(first, clauses), knowledge)
    cause = findings[0].cause
    situation = _situation(cause, clues, context)
    return Diagnosis(
        findings=findings,
        candidates=_candidates(findings, weighed),
        situation=situation,
        clues=clues,
        question=_question(findings, situation, weighed),
        notes=_notes(paste, clues),
    )


def _needs(context: Context) -> frozenset[str]:
    return frozenset({"fetch-first"}) if context.fetch_first else frozenset()


def _strength(one: Weighed) -> float:
    return max(one.scores().values(), default=0.0) * _KIND_WEIGHT[one.clause.kind]


def _in_order(weighed: tuple[Weighed, ...]) -> list[Weighed]:
    """Return the clauses that say something: the first cause first, the doubtful ones last."""
    strengths = {id(one): _strength(one) for one in weighed}
    speaking = [one for one in weighed if strengths[id(one)] >= _HEARD]

    def is_reply(one: Weighed) -> bool:
        return one.clause.kind == "reply" and strengths[id(one)] >= _REPLY_COUNTS

    replies = [one for one in speaking if is_reply(one)]
    prose = [
        one
        for one in speaking
        if one.clause.kind != "reply" and strengths[id(one)] >= _PROSE_COUNTS
    ]
    surest = max((strengths[id(one)] for one in replies), default=0.0)
    sure_prose = [one for one in prose if strengths[id(one)] >= _PROSE_WINS]
    head = [*sure_prose, *replies] if surest < 0.7 and sure_prose else replies
    rest = [one for one in speaking if one not in head]
    rest.sort(key=lambda one: (strengths[id(one)] < _PROSE_WINS, -strengths[id(one)]))
    if not replies:
        return _general_last([*head, *rest], strengths)
    return [*head, *_general_last(rest, strengths)]


def _general_last(order: list[Weighed], strengths: dict[int, float]) -> list[Weighed]:
    """Put "cannot connect" behind the sentence that says why, if there is one."""
    general = [one for one in order if _first_cause(one) is Cause.PORT_BLOCKED]
    telling = [
        one
        for one in order
        if _first_cause(one) in _WHY_NOT_CONNECTED and strengths[id(one)] >= _PROSE_COUNTS
    ]
    return [*telling, *(one for one in order if one not in telling)] if general else order


def _first_cause(one: Weighed) -> Cause:
    scores = one.scores()
    return max(scores, key=lambda cause: scores[cause])


def _findings(ordered: list[Weighed], folded: Folded, found: list[Found]) -> tuple[Finding, ...]:
    findings: dict[Cause, Finding] = {}
    for number, one in enumerate(ordered):
        ranked = sorted(one.scores().items(), key=lambda item: -item[1])
        cause, score = ranked[0]
        doubt = ranked[1][1] if len(ranked) > 1 else 0.0
        named = next((sign for sign in one.signs if sign.kind == "reason"), None)
        if named is not None:  # a server of ours says itself what it meant
            cause, score, doubt = named.cause, named.weight, 0.0
        confidence = score * (1 - 0.5 * (doubt / score) ** 2) * _KIND_WEIGHT[one.clause.kind]
        if number and confidence < _PROSE_COUNTS:
            continue
        if cause not in findings or findings[cause].confidence < confidence:
            findings[cause] = _finding(cause, confidence, one.signs, folded, found)
    unknown = Finding(Cause.UNKNOWN, 0.0, ())
    return tuple(findings.values()) or (unknown,)


def _decided(findings: tuple[Finding, ...], context: Context) -> tuple[Finding, ...]:
    """At a provider who wants mail fetched first, "relaying denied" means that it was not."""
    if not context.fetch_first or context.signed_in:
        return findings
    return tuple(
        replace(finding, cause=Cause.MUST_POP_FIRST, remedy="pop-first")
        if finding.cause is Cause.RELAY_DENIED
        else finding
        for finding in findings
    )


def _finding(
    cause: Cause, confidence: float, signs: tuple[Sign, ...], folded: Folded, found: list[Found]
) -> Finding:
    speaking = sorted((s for s in signs if s.cause is cause), key=lambda s: -s.weight)
    evidence = dict.fromkeys(
        Evidence(_words(sign, folded), f"{sign.kind}:{sign.what}") for sign in speaking[:4]
    )
    entry = next((sign.what for sign in speaking if sign.kind == "text"), "")
    remedy = next((one.entry.remedy for one in found if one.entry.id == entry), "")
    return Finding(cause, round(min(confidence, 0.99), 2), tuple(evidence), remedy, entry)


def _words(sign: Sign, folded: Folded) -> str:
    if sign.end <= sign.start:
        return sign.what
    text, end = folded.text, sign.end
    while end < len(text) and text[end].isalnum() and text[end] < "\u0590":
        end += 1
    return folded.excerpt(sign.start, end)[:200]


def _candidates(findings: tuple[Finding, ...], weighed: tuple[Weighed, ...]) -> tuple[Cause, ...]:
    best: dict[Cause, float] = {}
    for one in weighed:
        for cause, score in one.scores().items():
            best[cause] = max(best.get(cause, 0.0), score * _KIND_WEIGHT[one.clause.kind])
    others = sorted((c for c in best if best[c] >= _POSSIBLE), key=lambda c: -best[c])
    found = [finding.cause for finding in findings]
    return tuple(dict.fromkeys([*found, *others]))[:_CANDIDATES_MAX]


def _reply_of(first: Clause | None, clauses: tuple[Clause, ...]) -> Clause | None:
    if first is not None and first.kind == "reply":
        return first
    return next((clause for clause in clauses if clause.kind == "reply"), None)


def _situation(cause: Cause, clues: Clues, context: Context) -> Situation:
    if cause is not Cause.RELAY_DENIED:
        return Situation.NONE
    where = context.where or clues.where
    if where == "bounce":
        return Situation.RECIPIENT_SERVER
    if where == "log":
        return Situation.STRANGER
    if context.signed_in is not None:
        return Situation.SIGNED_IN if context.signed_in else Situation.NOT_SIGNED_IN
    return Situation.NOT_SIGNED_IN if where == "dialog" else Situation.UNDECIDED


def _question(
    findings: tuple[Finding, ...], situation: Situation, weighed: tuple[Weighed, ...]
) -> Question | None:
    first = findings[0]
    if situation is Situation.UNDECIDED:
        return Question("when", ("at-once", "came-back", "from-a-log"))
    if first.confidence >= CONFIDENT or first.cause is Cause.UNKNOWN:
        return None
    others = _candidates(findings, weighed)
    return Question("which", tuple(others[:3])) if len(others) > 1 else None


def _notes(paste: Paste, clues: Clues) -> tuple[str, ...]:
    notes = {
        "empty": not paste.text.strip(),
        "binary": paste.binary,
        "cut": paste.cut,
        "web-mail": clues.kind == "webmail",
    }
    return tuple(note for note, holds in notes.items() if holds)
