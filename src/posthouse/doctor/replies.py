"""Where in a text somebody says something: a server's replies, and the sentences around them."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from msgspec import Struct

from posthouse.doctor.words import Folded

_REPLY_LENGTH_MAX: Final = 700
_CLAUSES_MAX: Final = 160

# A basic code where a reply can begin (RFC 5321 §4.2), perhaps with an enhanced one (RFC 3463).
_CODE: Final = re.compile(
    r"(?<![\w.:/@#-])(?P<code>[45][0-7]\d)(?:(?P<mark>[\s:,;._-]{1,2}|\s?- )#?"
    r"(?P<status>[245]\.\d{1,3}\.\d{1,3}))?(?![\w%/]|\.\d|:\d)"
)
_GLUED: Final = re.compile(r"(?<![\w.])(?P<code>[45][0-7]\d)[_-](?P<status>[245]\.\d\.\d{1,3})\b")
_STATUS: Final = re.compile(r"(?<![\w.])#?(?P<status>[45]\.\d{1,3}\.\d{1,3})(?![\w]|\.\d)")
_NOT_CODES: Final = frozenset({"465", "587"})
_UNITS: Final = re.compile(
    r"\s?(?:[km]i?b\b|messages|emails|e-mails|recipients|mails|%|octets|bytes|seconds|minutes|per\b"
    r"|封|個|个|件|명|ms\b|days|hours|empf|destinat|сообщ|получ|писем)"
)
_LEADS: Final = re.compile(
    r"(?:^|[:;\[('\"<>=|*,]|\b(?:error|code|returned|said|responded|response|reply|server|smtp"
    r"|status|got|with|fehler|erreur|hata|ошибка|код|after|replied|says|errore|erro|codigo|fel"
    r"|blad|chyba|hiba|virhe|fout|ответ|saying|answered|by|message|is|was|host|esmtp|kod|kode"
    r"|fejl|feil|eroare|code:|err|reject|an|a|the|received|permanent|exception"
    r"|meldung|texte|text|answer|dsn)"
    r"|[\u0590-\uffff])[\s:#]*-?$"
)
# What a mail program adds behind the reply it quotes.
_PROGRAM_ADVICE: Final = (
    r"please (?:check the message|verify that your|ensure you are using)"
    r"|bitte uberprufen sie|veuillez verifier|verifique (?:que su|el dest|se seu|o dest|a mens)"
    r"|asegurese de que|garanta estar|verificare (?:l.indirizzo|di )|controllare il (?:dest|mess)"
    r"|controleer (?:of uw|de ber|het ber)|zorg ervoor|kontrollera (?:att din|mott|medd)"
    r"|se till att"
    r"|prosze (?:zwer|spraw)|sprawdz adresata|upewnij sie|убедитесь|проверьте правильность"
    r"|проверьте сообщение"
    r"|lutfen (?:posta|iletiyi|gondermek)|请(?:验证您|检查消息|检查该|确保您)|送信に使用する"
    r"|メッセージの受信者|메일 설정에|메시지 주소|보내려는 올바른"
)
_LABEL: Final = re.compile(
    r"[,;.'\"\s]{1,3}(?:port|端口|連接埠|ポート|anschluss|puerto|porta|порт|poort|포트"
    r"|baglanti noktasi)"
    r"\s?:|,? (?:secure|安全|セキュリティ|seguro|securise|sicher|segura|protetto)\s?\(ssl\)"
    rf"|(?<=[.:\s])(?:{_PROGRAM_ADVICE})"
    r"|; from=<|, status=|original message headers|the following organization rejected"
)
_LINE_BREAKS_REPLY: Final = re.compile(
    r"(?:\d{4}-\d\d|[a-z]{3}\s+\d{1,2}\s|[a-z][a-z-]{2,20}: |-{3,}|>>>|<<<|\*\s|={3,}|\[|at "
    r"|<[^>\s]+@[^>\s]+>:|remote server returned|final-recipient|--|\d{1,2}:\d\d)"
)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?;])\s|(?<=[\u3002\uff01\uff1f])|(?<=[\u3000-\u9fff])\.")


class Clause(Struct, frozen=True):
    """A piece of the folded text that is understood by itself.

    Attributes:
        kind: "reply" for what a server said, "sentence" and "paragraph" for prose.
        code: Basic code, or "".
        status: Enhanced status code, or "".
    """

    start: int
    end: int
    kind: str
    code: str = ""
    status: str = ""


def find_clauses(folded: Folded, known_codes: Iterable[str]) -> tuple[Clause, ...]:
    """Split a folded text into replies and, around them, sentences and short paragraphs."""
    replies = tuple(_replies(folded, frozenset(known_codes)))
    clauses = list(replies)
    at = 0
    for reply in (*replies, Clause(len(folded.text), len(folded.text), "reply")):
        clauses += _prose(folded, at, reply.start)
        at = max(at, reply.end)
    return tuple(sorted(clauses, key=lambda clause: clause.start)[:_CLAUSES_MAX])


def _replies(folded: Folded, known_codes: frozenset[str]) -> Iterator[Clause]:
    text = folded.text
    starts: list[tuple[int, int, str, str]] = []
    for match in _CODE.finditer(text):
        code, status = match["code"], match["status"] or ""
        if code in _NOT_CODES or (not status and not _begins_reply(text, match, known_codes)):
            continue
        starts.append((match.start(), match.end(), code, status))
    starts = _joined(text, starts)
    starts = starts or [(m.start(), m.end(), "", m["status"]) for m in _STATUS.finditer(text)]
    for number, (start, after, code, status) in enumerate(starts):
        following = starts[number + 1][0] if number + 1 < len(starts) else len(text)
        end = _reply_end(folded, after, min(following, start + _REPLY_LENGTH_MAX))
        later = None if status else _STATUS.search(text, after, end)
        known = later["status"] if later else status
        if end - after > 2 or following == len(text) or known:
            yield Clause(start, end, "reply", code, known)


def _begins_reply(text: str, match: re.Match[str], known_codes: frozenset[str]) -> bool:
    if _UNITS.match(text, match.end()):
        return False
    if match["code"] not in known_codes:
        return match.start() == 0 and text[match.end() : match.end() + 1] in {" ", "-"}
    return _LEADS.search(text[max(0, match.start() - 24) : match.start()]) is not None or (
        text[match.end() : match.end() + 1] in {"", "-"}
    )


def _joined(text: str, starts: list[tuple[int, int, str, str]]) -> list[tuple[int, int, str, str]]:
    """Join the lines of a multiline reply: the same code again, and near (RFC 5321 §4.2.1)."""
    joined: list[tuple[int, int, str, str]] = []
    for start, after, code, status in starts:
        if joined and joined[-1][2] == code and start - joined[-1][1] < 90:
            first = joined[-1]
            if "-" in text[first[0] + 3 : first[0] + 5] or "\\n" in text[first[1] : start]:
                joined[-1] = (first[0], first[1], code, first[3] or status)
                continue
        joined.append((start, after, code, status))
    return joined


def _reply_end(folded: Folded, after: int, limit: int) -> int:
    text = folded.text
    label = _LABEL.search(text, after, limit)
    end = label.start() if label else limit
    for line in folded.line_starts:
        if line <= after:
            continue
        if line >= end:
            break
        if line in folded.paragraph_starts or _LINE_BREAKS_REPLY.match(text, line):
            return line
    return end


def _prose(folded: Folded, start: int, end: int) -> Iterator[Clause]:
    text = folded.text
    borders = [start, *sorted(p for p in folded.paragraph_starts if start < p < end), end]
    for first, last in pairwise(borders):
        cuts = [first, *(m.end() for m in _SENTENCE_END.finditer(text, first, last)), last]
        sentences = [(a, b) for a, b in pairwise(cuts) if b - a > 1]
        yield from (Clause(a, b, "sentence") for a, b in sentences)
        if len(sentences) > 1 and last - first < 700:
            yield Clause(first, last, "paragraph")
