"""What the doctor knows: the catalogue of texts, the vocabulary, and what signs weigh.

The readable sources are the TOML files in data/. `compile_knowledge` turns them into one JSON
document that loads in milliseconds; docs/people/generate.py writes it, a test keeps it in step.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct

from posthouse.doctor.causes import Cause
from posthouse.doctor.wording import Wordings
from posthouse.doctor.words import StemIndex, fold, index_stems

COMPILED: Final = "knowledge.json"
_PLACEHOLDER: Final = re.compile(r"\{[a-z]+\}")
_EDGES: Final = " .,:;'\"()[]<>!"


class Entry(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One text that a server, a program or a report is known to say.

    Attributes:
        where: "server", "client" (a mail program) or "report" (a message that came back).
        code: Basic code, ``-ERR``, or the number a program gives; "" if any.
        status: Enhanced status code; may be a range such as ``5.7.606-649``.
        pattern: The text, with placeholders such as ``{rcpt}`` for what varies.
        language: BCP 47.
        remedy: Key of the remedies in data/advice.toml.
        wraps: The text is only the wrapper of a server's reply, which decides; `cause` is then
            what it usually turns out to be.
        needs: When this reading holds: "fetch-first" (from the context), "text:WORDS" (elsewhere in
            the paste); "" = always.
        literals: Folded pieces of `pattern` between the placeholders. Made by the compiler.
    """

    id: str
    software: str
    where: str
    pattern: str
    language: str
    cause: str
    remedy: str
    source: str = ""
    code: str = ""
    status: str = ""
    wraps: bool = False
    verified: bool = True
    needs: str = ""
    literals: tuple[str, ...] = ()


class Rule(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Concepts that together speak for a cause."""

    cause: Cause
    all: tuple[str, ...]
    weight: float
    none: frozenset[str] = frozenset()


class Program(Struct, frozen=True, forbid_unknown_fields=True):
    """A mail program, or the maker of a report, known by words only it uses."""

    id: str
    kind: str
    words: tuple[str, ...]


Weights = dict[str, dict[Cause, float]]


class Rules(Struct, frozen=True, forbid_unknown_fields=True):
    """data/rules.toml."""

    rule: tuple[Rule, ...]
    codes: Weights
    statuses: Weights
    numbers: Weights
    commands: dict[str, str]
    reasons: dict[str, Cause]
    program: tuple[Program, ...]


class Knowledge(Struct, frozen=True):
    """Everything, ready for use."""

    entries: tuple[Entry, ...]
    stems: StemIndex
    rules: Rules
    wordings: Wordings


class _EntryFile(Struct, forbid_unknown_fields=True):
    entry: tuple[Entry, ...]


def read_entries(toml: str) -> tuple[Entry, ...]:
    """Read one file of data/catalogue/.

    Raises:
        msgspec.ValidationError: If a field is missing, misspelt or of the wrong type.
    """
    read = msgspec.convert(tomllib.loads(toml), _EntryFile).entry
    return tuple(msgspec.structs.replace(e, literals=literals_of(e.pattern)) for e in read)


def literals_of(pattern: str) -> tuple[str, ...]:
    """Return the folded pieces of a pattern that must occur, in order."""
    pieces = (fold(piece).strip(_EDGES) for piece in _PLACEHOLDER.split(pattern))
    return tuple(piece for piece in pieces if any(c.isalnum() for c in piece))


def compile_knowledge(
    catalogue: Mapping[str, str], vocabulary: str, rules: str, advice: str
) -> bytes:
    """Return the JSON form of the sources; the same sources always give the same octets."""
    knowledge = Knowledge(
        entries=tuple(e for name in sorted(catalogue) for e in read_entries(catalogue[name])),
        stems=index_stems(tomllib.loads(vocabulary)),
        rules=msgspec.convert(tomllib.loads(rules), Rules),
        wordings=msgspec.convert(tomllib.loads(advice), Wordings),
    )
    return msgspec.json.encode(knowledge, order="sorted") + b"\n"


def load(octets: bytes) -> Knowledge:
    """Read what `compile_knowledge` wrote.

    Raises:
        msgspec.DecodeError: If the octets are not that.
    """
    return msgspec.json.decode(octets, type=Knowledge)


@cache
def shipped() -> Knowledge:
    """Return the knowledge that comes with the package; read once per process."""
    return load((files("posthouse.doctor") / "data" / COMPILED).read_bytes())
