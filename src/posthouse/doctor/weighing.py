"""How strongly each piece of a text speaks for each cause."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from posthouse.doctor.catalogue import Entry, Knowledge, Rule
from posthouse.doctor.causes import Cause
from posthouse.doctor.forms import forms, not_accepted
from posthouse.doctor.replies import Clause
from posthouse.doctor.words import Folded, Hit, hear

_GAP_MAX: Final = 400  # folded characters a placeholder may stand for
_RESPONSE_GAP_MAX: Final = 1500
_DECISIVE: Final = 0.96  # of an entry that holds only where something else is seen, and it was
_NUMBER: Final = re.compile(r"0x8[0-9a-f]{7}(?:-0x[0-9a-f]{8}(?:-0x[0-9a-f]{8})?)?")
_NEGATIVE: Final = {"-2147220977": "0x800ccc79", "-2147220980": "0x800ccc79"}
_REASON: Final = re.compile(r"\[([a-z]+(?:-[a-z]+){1,4})\]")
# Names and addresses hold words that mean nothing; block lists and makers' help pages do.
_MEANINGLESS: Final = re.compile(
    r"[^\s<>()\"',;@]{1,64}@[^\s<>()\"',;:@]{1,255}|https?://[^\s<>\"']+"
    r"|(?<![\w.])(?:[a-z0-9_-]{1,63}\.){1,12}[a-z]{2,}(?![\w.])"
    r"|helo=<[^>]*>|proto=e?smtp\w*|\besmtp[sa]*\b"
    r"|退回[给給]寄件者|退回给发件人|退回給寄件人"
    r"|return(?:ed)? (?:mail|message)? ?to (?:the )?sender|returning message to sender"
    r"|recipient address rejected: (?!access denied)(?=\S)"
    r"|(?:server error|serverfehler|erreur de serveur|erreur du serveur|error del servidor"
    r"|errore del server"
    r"|errore server|erro do servidor|erro de servidor|serverfout|serverfejl|serverfel|serverfeil"
    r"|ошибка сервера|服务器错误|伺服器錯誤|サーバー エラー|サーバーエラー|서버 오류"
    r"|blad serwera|sunucu hatasi)\s?:"
    r"|(?:secure|安全|セキュリティ|seguro|securise|sicher|segura|protetto|sikker|zabezp\w*)\s?\(ssl\)"
)
_TELLING: Final = re.compile(
    r"spamhaus|spamcop|barracudacentral|sorbs|rbl|dnsbl|openspf|uceprotect|abuseat|/query/ip|pbl"
    r"|senderscore|mailspike|webloginrequired|invalidsecondfactor|basicauth|spamrats|bl\.|dul\."
    r"|trendmicro|resolver\.|smtplib|transport\.|smtpsend|javax?\.mail|com\.sun|nullmx|queue\.exp"
    r"|mailexception|net\.mail|getaddrinfo|\.exe|ipcheck"
)


class Sign(Struct, frozen=True):
    """Something that speaks for a cause.

    Attributes:
        kind: "words", "code", "status", "number", "text" (of the catalogue) or "reason".
        what: A concept, a code, or the id of an entry.
        weight: 0 to 1.
        start: Where in the folded text, -1 for nowhere in particular.
    """

    cause: Cause
    kind: str
    what: str
    weight: float
    start: int = -1
    end: int = -1


class Weighed(Struct, frozen=True):
    """A clause with all that speaks in it."""

    clause: Clause
    signs: tuple[Sign, ...]

    def scores(self) -> dict[Cause, float]:
        """Return how likely each cause is, from the signs taken as independent."""
        doubts: dict[Cause, float] = {}
        for sign in self.signs:
            doubts[sign.cause] = doubts.get(sign.cause, 1.0) * (1 - sign.weight)
        return {cause: 1 - doubt for cause, doubt in doubts.items()}


class Found(Struct, frozen=True):
    """An entry of the catalogue, found in the text."""

    entry: Entry
    spans: tuple[tuple[int, int], ...]


def mask(text: str) -> str:
    """Blank out names and addresses, keeping every offset."""

    def blank(match: re.Match[str]) -> str:
        found = match.group()
        return found if _TELLING.search(found) else "~" * len(found)

    return _MEANINGLESS.sub(blank, text)


def find_entries(text: str, entries: Iterable[Entry], needs: frozenset[str]) -> list[Found]:
    """Return the catalogue entries whose whole pattern occurs in the folded text.

    An entry whose words lie inside those of a longer entry is left out.
    """
    found = []
    for entry in entries:
        if entry.literals and _is_met(entry.needs, needs, text):
            spans = _spans(text, entry)
            if spans:
                found.append(Found(entry, spans))
    return [one for one in found if not any(_within(one, other) for other in found)]


def _is_met(wanted: str, needs: frozenset[str], text: str) -> bool:
    kind, _, words = wanted.partition(":")
    return not wanted or wanted in needs or (kind == "text" and words in text)


def _within(one: Found, other: Found) -> bool:
    start, end = one.spans[0][0], one.spans[-1][1]
    for span in other.spans:
        if span[0] <= start and end <= span[1] and end - start < span[1] - span[0]:
            return not other.entry.wraps and other.entry.where != "report"
    return False


def _spans(text: str, entry: Entry) -> tuple[tuple[int, int], ...]:
    longest = max(entry.literals, key=len)
    if longest not in text:
        return ()
    gap = _RESPONSE_GAP_MAX if "{response}" in entry.pattern else _GAP_MAX
    first = entry.literals[0]
    start = text.find(first)
    while start >= 0:
        spans = _follow(text, entry.literals, start, gap)
        if spans and _stands_alone(text, spans):
            return spans
        start = text.find(first, start + 1)
    return ()


def _follow(
    text: str, literals: tuple[str, ...], start: int, gap: int
) -> tuple[tuple[int, int], ...]:
    spans = [(start, start + len(literals[0]))]
    for literal in literals[1:]:
        at = text.find(literal, spans[-1][1], spans[-1][1] + gap + len(literal))
        if at < 0:
            return ()
        spans.append((at, at + len(literal)))
    return tuple(spans)


def _stands_alone(text: str, spans: tuple[tuple[int, int], ...]) -> bool:
    first, last = spans[0][0], spans[-1][1]
    before, after = text[first - 1 : first], text[last : last + 1]
    return not (
        (before.isascii() and before.isalnum() and text[first].isalnum())
        or (after.isascii() and after.isalnum() and text[last - 1].isalnum())
    )


def weigh(
    folded: Folded, clauses: tuple[Clause, ...], found: list[Found], knowledge: Knowledge
) -> tuple[Weighed, ...]:
    """Collect the signs of every clause."""
    masked = mask(folded.text)
    wrapping = [s for f in found if f.entry.wraps or f.entry.where == "report" for s in f.spans]
    hits = [h for h in hear(masked, knowledge.stems) if _speaks(h, wrapping)]
    hits += forms(folded.text)
    hits += not_accepted(hits)
    hits.sort(key=_start)
    starting = _by_first_concept(knowledge.rules.rule)
    weighed = []
    for clause in clauses:
        signs = (
            *_by_words(clause, hits, starting),
            *_by_codes(clause, knowledge),
            *_by_entries(clause, found, folded.text),
            *_by_marks(clause, folded.text, knowledge),
        )
        decisive = tuple(sign for sign in signs if sign.weight == _DECISIVE)
        weighed.append(Weighed(clause, decisive or signs))
    return tuple(weighed)


def _start(hit: Hit) -> int:
    return hit.start


def _speaks(hit: Hit, wrapping: list[tuple[int, int]]) -> bool:
    """Words of a wrapper do not count, except that they name the command that failed."""
    return hit.concept.startswith("cmd_") or not any(
        start <= hit.start and hit.end <= end for start, end in wrapping
    )


def _by_first_concept(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    starting: dict[str, list[Rule]] = {}
    for rule in rules:
        starting.setdefault(rule.all[0], []).append(rule)
    return starting


def _by_words(clause: Clause, hits: list[Hit], starting: dict[str, list[Rule]]) -> list[Sign]:
    heard: dict[str, Hit] = {}
    first = bisect_left(hits, clause.start, key=_start)
    for hit in hits[first : bisect_left(hits, clause.end, lo=first, key=_start)]:
        heard.setdefault(hit.concept, hit)
    if clause.kind == "reply":
        kind = (clause.code or clause.status)[:1]
        for mark in (f"code:{clause.code}", f"kind:{kind}", f"status:{clause.status}"):
            heard[mark] = Hit(clause.start, clause.start + 3, mark)
    signs = []
    for concept, hit in heard.items():
        for rule in starting.get(concept, ()):
            if rule.none.isdisjoint(heard) and all(it in heard for it in rule.all):
                what = "+".join(rule.all)
                kind = "code" if ":" in concept else "words"
                signs.append(Sign(rule.cause, kind, what, rule.weight, hit.start, hit.end))
    return signs


def _by_codes(clause: Clause, knowledge: Knowledge) -> list[Sign]:
    signs = [
        Sign(cause, "code", clause.code, weight, clause.start, clause.start + 3)
        for cause, weight in knowledge.rules.codes.get(clause.code, {}).items()
    ]
    statuses = knowledge.rules.statuses
    status = clause.status
    table = statuses.get(status) or statuses.get(f"x{status[1:]}", {}) if status else {}
    signs += [
        Sign(cause, "status", status, weight, clause.start) for cause, weight in table.items()
    ]
    return signs


def _by_entries(clause: Clause, found: list[Found], text: str) -> list[Sign]:
    best: dict[Cause, Sign] = {}
    for one in found:
        start, end = one.spans[0][0], one.spans[-1][1]
        inside = clause.start - 12 <= start < clause.end and end <= clause.end + 4
        if not inside or one.entry.where == "report" or one.entry.cause == Cause.UNKNOWN:
            continue
        cause = Cause(one.entry.cause)
        weight = _entry_weight(one.entry, clause, text)
        if weight > (best[cause].weight if cause in best else 0.0):
            best[cause] = Sign(cause, "text", one.entry.id, weight, start, end)
    return list(best.values())


def _entry_weight(entry: Entry, clause: Clause, text: str) -> float:
    letters = sum(len(literal) for literal in entry.literals)
    weight = 0.35 if letters < 9 else 0.6 if letters < 14 else 0.78 if letters < 24 else 0.88
    if entry.needs:
        return _DECISIVE
    if entry.wraps:
        return 0.3
    if entry.code.startswith("0x"):
        return min(weight + 0.1, 0.85) if entry.code.lower() in text else weight * 0.5
    if entry.code and clause.code:
        weight = min(0.93, weight + 0.1) if entry.code == clause.code else weight * 0.8
    if entry.status and clause.status and entry.status == clause.status:
        weight = min(0.95, weight + 0.04)
    # A few known words in a long reply decide less than the same words alone.
    share = letters / max(letters, clause.end - clause.start)
    return weight * min(1.0, 0.4 + 0.75 * share)


def _by_marks(clause: Clause, text: str, knowledge: Knowledge) -> list[Sign]:
    signs = []
    rules = knowledge.rules
    for match in _REASON.finditer(text, clause.start, clause.end):
        if match[1] in rules.reasons:
            cause = rules.reasons[match[1]]
            signs.append(Sign(cause, "reason", match[1], 0.97, match.start(1), match.end(1)))
    for match in _NUMBER.finditer(text, clause.start, clause.end):
        table = rules.numbers.get(match.group()) or rules.numbers.get(match.group()[:10], {})
        signs += [
            Sign(cause, "number", match.group(), weight, match.start(), match.end())
            for cause, weight in table.items()
        ]
    return signs


def numbers_in(text: str) -> tuple[str, ...]:
    """Return the numbers of Windows programs in a folded text, in order."""
    decimal = tuple(number for word, number in _NEGATIVE.items() if word in text)
    return tuple(dict.fromkeys((*_NUMBER.findall(text), *decimal)))
