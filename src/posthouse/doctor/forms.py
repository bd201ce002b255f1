"""Things that are heard by their form and not by a word: addresses, ports, times, sizes, negations.

They are the same in every language, so what is said about them is understood in all of them.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from posthouse.doctor.words import Hit

PORT_NUMBER: Final = "port_number"
NOT_ACCEPTED: Final = "not_accepted"
_NEAR: Final = 28  # folded characters between a negation and what it negates
_UNIT: Final = r"(?:[kmg]i?b|[kmg]o|[кмг]б|megabyte\w*|mega|兆)(?![a-zа-я])"  # noqa: RUF001 - Cyrillic
# A port that mail programs send to. What Outlook adds behind a comma ("Port: 25, Secure(SSL): No")
# tells nothing.
_MAIL_PORT: Final = re.compile(r"(?<!\d)(?:25|465|587|2525)(?!\d)(?!, (?:secure|安全))")
_PORT_BEFORE: Final = re.compile(
    r"(?:(?<!, )\b(?:por[tc][a-z]{0,4}|порт\w?|puerto|poort)"
    r"|(?:πορτα|端口|連接埠|ポート|포트))(?: (?:number|nr|番号|号))?[ :]{0,2}$|[a-z]:$"
)
_PORT_BEHIND: Final = re.compile(r" ?(?:端口|番ポート|番|포트)")
FORMS: Final = {
    "ip": re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])|\[ipv6:|\{ip\}"),
    "wait_time": re.compile(
        r"\b\d{1,4} ?(?:s\b|sec|min|seg|sek|сек|мин|хв|dk\b|dak|saniye|perc|mp\b|秒|分|초|분"
        r"|δευτ|λεπτ|hour|heure|stund|uur\b|ora\b|hora)"
    ),
    "two_sizes": re.compile(
        rf"\b\d{{1,7}}(?:[.,]\d+)? ?{_UNIT}.{{1,90}}?\b\d{{1,7}}(?:[.,]\d+)? ?{_UNIT}"
    ),
}


def forms(text: str) -> list[Hit]:
    """Return what is found by its form in a folded text."""
    return [
        *(
            Hit(found.start(), found.end(), concept)
            for concept, pattern in FORMS.items()
            for found in pattern.finditer(text)
        ),
        *_ports(text),
    ]


def _ports(text: str) -> Iterator[Hit]:
    """Yield "port 25" in any language, and "host:25"."""
    for found in _MAIL_PORT.finditer(text):
        start, end = found.span()
        if _PORT_BEFORE.search(text[max(0, start - 20) : start]) or _PORT_BEHIND.match(text, end):
            yield Hit(start, end, PORT_NUMBER)


def not_accepted(hits: Iterable[Hit]) -> Iterator[Hit]:
    """Yield a refusal where a negation and a word for taking stand near, in either order."""
    negations = [hit for hit in hits if hit.concept == "negation"]
    for taking in [hit for hit in hits if hit.concept == "accept"]:
        for negation in negations:
            apart = max(taking.start - negation.end, negation.start - taking.end)
            if apart <= _NEAR:
                yield Hit(min(taking.start, negation.start), taking.end, NOT_ACCEPTED)
                break
