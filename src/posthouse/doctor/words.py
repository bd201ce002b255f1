"""Words in many languages: text brought to one form, and the concepts heard in it.

Case, accents, kinds of quotation marks, full-width forms and white space do not count. The folded
text remembers where each piece came from, so that evidence can be shown as it was written.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

_CHUNK: Final = re.compile(r"\s+|[^\W_]+|[^\w\s]+|_+")
_ACCENTS: Final = re.compile("[\u0300-\u036f]")
_SAME: Final = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u00b4`\u02bc\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb\u201f\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        "\u0131": "i",
        "ł": "l",
        "đ": "d",
        "…": "...",
        "。": ".",
        "、": ",",
        "\u200e": None,
        "\u200f": None,
        "\u00ad": None,
        "\u200b": None,
        "\ufeff": None,
    }
)
# Scripts from Hebrew onwards attach particles or write without spaces: a stem may start anywhere.
_UNSPACED: Final = "\u0590"
_START: Final = re.compile("[\u0590-\U0010ffff]|(?<![^\\W_])\\S")


def fold(text: str) -> str:
    """Return the form in which words are compared. Offsets are not kept; see `fold_with_origin`."""
    if text.isascii():
        return " ".join(text.lower().split()) if not text.isalnum() else text.lower()
    folded = unicodedata.normalize("NFKD", text.translate(_SAME)).translate(_SAME).casefold()
    folded = _ACCENTS.sub("", unicodedata.normalize("NFKD", folded))
    folded = unicodedata.normalize("NFC", folded).translate(_SAME)
    return " ".join(folded.split())


class Folded(Struct, frozen=True):
    """A text and its folded form.

    Attributes:
        original: The text as read.
        text: Folded; every run of white space is one space.
        line_starts: Offsets in `text` where a line of the original begins.
        paragraph_starts: Offsets in `text` that follow an empty line.
    """

    original: str
    text: str
    line_starts: tuple[int, ...]
    paragraph_starts: frozenset[int]
    _folded_offsets: tuple[int, ...]
    _origins: tuple[int, ...]

    def origin(self, offset: int) -> int:
        """Return where in the original the folded `offset` comes from."""
        at = bisect_right(self._folded_offsets, offset) - 1
        if at < 0:
            return 0
        return min(
            self._origins[at] + offset - self._folded_offsets[at],
            self._origins[at + 1] if at + 1 < len(self._origins) else len(self.original),
        )

    def excerpt(self, start: int, end: int) -> str:
        """Return the original words between two folded offsets, on one line."""
        return " ".join(self.original[self.origin(start) : self.origin(end)].split())


def fold_with_origin(text: str) -> Folded:
    """Fold `text` piece by piece, keeping offsets, line starts and paragraph starts."""
    pieces: list[str] = []
    offsets: list[int] = []
    origins: list[int] = []
    lines, paragraphs = [0], {0}
    known: dict[str, str] = {}
    length = 0
    for match in _CHUNK.finditer(text):
        chunk = match.group()
        if chunk.isspace():
            piece = " "
            breaks = chunk.count("\n")
            if breaks:
                lines.append(length + 1)
            if breaks > 1:
                paragraphs.add(length + 1)
        else:
            found = known.get(chunk)
            piece = known[chunk] = fold(chunk) if found is None else found
        offsets.append(length)
        origins.append(match.start())
        pieces.append(piece)
        length += len(piece)
    return Folded(
        original=text,
        text="".join(pieces),
        line_starts=tuple(lines),
        paragraph_starts=frozenset(paragraphs),
        _folded_offsets=tuple(offsets),
        _origins=tuple(origins),
    )


class Hit(Struct, frozen=True):
    """A concept heard at a place of the folded text."""

    start: int
    end: int
    concept: str


# Prefix of up to three characters -> stems with that prefix: (stem, whole word only, concept).
StemIndex = dict[str, list[tuple[str, bool, str]]]


def index_stems(vocabulary: dict[str, dict[str, str]]) -> StemIndex:
    """Build the index from concept -> language -> "stem | stem | stem"."""
    index: StemIndex = {}
    for concept, languages in vocabulary.items():
        stems = {stem.strip() for value in languages.values() for stem in value.split("|")}
        folded = {(fold(s.removesuffix("$")), s.endswith("$")) for s in stems if s}
        for stem, whole in sorted(folded):
            index.setdefault(stem[:3], []).append((stem, whole, concept))
    return index


def hear(text: str, index: StemIndex) -> Iterator[Hit]:
    """Yield every concept in folded `text`, in order of place."""
    known, starts_with = index.get, text.startswith
    for match in _START.finditer(text):
        start = match.start()
        stems = known(text[start : start + 3], ())
        if start + 2 < len(text) and (short := known(text[start : start + 2])):
            stems = [*stems, *short]
        if text[start] >= _UNSPACED and start + 1 < len(text):
            stems = [*stems, *known(text[start], ())]
        for stem, whole, concept in stems:
            if starts_with(stem, start):
                end = start + len(stem)
                if not whole or end == len(text) or not _continues(text[end]):
                    yield Hit(start, end, concept)


def _continues(character: str) -> bool:
    return character.isalnum() and character < _UNSPACED
