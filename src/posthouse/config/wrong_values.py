"""Each error that pydantic found, with its place and in our own words.

pydantic says what is wrong (`type`) and where (`loc`); its English is never shown.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic_core import ErrorDetails

from posthouse.config.anatomy import SECTIONS, Place, follow, keys_of
from posthouse.config.catalogue import finding
from posthouse.config.diagnostic import Diagnostic
from posthouse.config.spans import Path, Span, Spans
from posthouse.config.values import kind_of
from posthouse.config.words import either, nearest, quoted

_QUOTED: Final = re.compile(r"'([^']*)'")
_SECRETS: Final = ("password", "passwd", "secret", "passphrase", "token")
_EVERYBODY: Final = ("all", "any", "anyone", "everyone", "everybody", "everything", "world", "*")
_SHOWN_MAX: Final = 60

Finding = tuple[str, str, str]  # kind, message, help


def diagnose(errors: Iterable[ErrorDetails], spans: Spans) -> list[Diagnostic]:
    """Return a diagnostic for each error."""
    errors = list(errors)
    deeper = {each["loc"][:end] for each in errors for end in range(len(each["loc"]))}
    meant = {_meant(each["loc"]) for each in errors if each["type"] == "extra_forbidden"}
    found = []
    for error in errors:
        if error["type"] == "too_short" and error["loc"] in deeper:
            continue  # pydantic counts only the entries that are right
        if error["type"] == "missing" and error["loc"] in meant:
            continue  # it is there, misspelt
        place = follow(error["loc"])
        kind, message, words = _in_our_words(error, place)
        found.append(finding(kind, message, _span(error, place, spans), words))
    return found


def _span(error: ErrorDetails, place: Place, spans: Spans) -> Span:
    kind = error["type"]
    if key := error.get("ctx", {}).get("key"):
        return spans.value((*place.path, key))
    if place.in_key or kind == "extra_forbidden":
        return spans.key(place.path)
    if kind == "missing":
        return spans.key(place.path[:-1])
    if kind.startswith("union_tag"):
        return spans.value((*place.path, "who"))
    return spans.value(place.path)


def _in_our_words(error: ErrorDetails, place: Place) -> Finding:
    kind = error["type"]
    context = error.get("ctx", {})
    if "message" in context:
        return kind, context["message"], context["help"]
    if kind == "extra_forbidden":
        return _unknown_key(error["loc"])
    if kind == "missing":
        return _missing(error["loc"])
    if kind in ("enum", "literal_error"):
        return kind, *_wrong_word(error["input"], _QUOTED.findall(context["expected"]), place)
    if kind == "union_tag_invalid":
        written = error["input"].get("who") if isinstance(error["input"], dict) else ""
        return kind, *_wrong_door(written, _QUOTED.findall(context["expected_tags"]))
    if kind == "union_tag_not_found":
        words = 'write who = "signed-in", "pop-window", "network", "host-name" or "certificate"'
        return kind, "this door does not say whom it lets in: `who` is missing", words
    return _wrong_kind(kind, error["input"], place, context)


def _wrong_kind(kind: str, value: object, place: Place, context: dict[str, Any]) -> Finding:
    """The value is of another kind than the key needs."""
    key = next((str(part) for part in reversed(place.path) if isinstance(part, str)), "")
    this = f"this is {kind_of(value)}"
    if kind in ("tuple_type", "model_type", "dict_type", "model_attributes_type"):
        return kind, *_wrong_shape(kind, value, key, place)
    if kind == "int_type":
        return kind, f"{this}, {key} is a whole number", "write it without quotes, point or unit"
    if kind == "bool_type":
        return kind, f"{this}, {key} is true or false", "write true or false, without quotes"
    if kind in ("greater_than_equal", "less_than_equal"):
        least = "at least" if "ge" in context else "at most"
        limit = context.get("ge", context.get("le"))
        return kind, f"{_shown(value)} is out of range", f"{key} is {least} {limit:,}"
    if kind == "too_short":
        parent = follow(place.path[:-1]).section
        needed = parent is not None and keys_of(parent)[key].is_required()
        words = "" if needed else f", or leave {key} out for its default"
        return kind, f"{key} is empty", f"name one at least{words}"
    return "other", f"{this}, which {key or 'this table'} cannot be", ""


def _wrong_shape(kind: str, value: object, key: str, place: Place) -> tuple[str, str]:
    """A table, a list or a list of tables where another one of them belongs."""
    this, heading = f"this is {kind_of(value)}", _heading(place.path)
    if kind == "tuple_type" and not isinstance(value, dict):
        return f"{this}, {key} is a list", f"write {key} = [{_shown(value)}]"
    if kind == "tuple_type":
        return f"{key} is a list of tables", f"write [[{heading}]] with two brackets"
    if place.path and isinstance(place.path[-1], int):
        words = f"write [[{heading}]] and its keys below, for each"
        return f"{this}, {key} is a list of tables", words
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"{this}, {key} is a table", f"write [{heading}] with single brackets"
    return f"{this}, {key} is a table", f"write [{heading}] and its keys below"


def _heading(path: Path) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    return str(value)[:_SHOWN_MAX]


def _wrong_word(value: object, expected: Sequence[str], place: Place) -> tuple[str, str]:
    key = next((part for part in reversed(place.path) if isinstance(part, str)), "")
    words = either(f'"{each}"' for each in expected)
    if isinstance(value, bool):
        return f"{key} is not simply true or false", f"write {words}"
    if not isinstance(value, str):
        return f"this is {kind_of(value)}, {key} is a word", f"write {words}"
    near = nearest(value, expected)
    message = f"{_shown(value)} is not possible for {key}"
    return message, f'did you mean "{near}"?' if near else f"write {words}"


def _wrong_door(value: object, expected: Sequence[str]) -> tuple[str, str]:
    words = either(f'"{each}"' for each in expected)
    if isinstance(value, str) and value.lower().strip() in _EVERYBODY:
        return "there is no door for everybody", (
            f"who is {words};\nmail for your own domains is accepted from everybody without a door"
        )
    if not isinstance(value, str):
        return f"this is {kind_of(value)}, who is a word", f"write {words}"
    near = nearest(value, expected)
    return f"there is no door {_shown(value)}", (
        f'did you mean "{near}"?' if near else f"who is {words}"
    )


def _missing(loc: Path) -> Finding:
    key = str(loc[-1])
    parent = follow(loc[:-1])
    where = f"[{_heading(parent.path)}] needs" if parent.path else "the file needs"
    field = keys_of(parent.section).get(key) if parent.section else None
    means = field.description if field and field.description else ""
    return "missing", f"{where} {key}", f"add {key} = ...  {means}".rstrip()


def _unknown_key(loc: Path) -> Finding:
    key = str(loc[-1])
    parent = follow(loc[:-1])
    heading = _heading(parent.path)
    known = list(keys_of(parent.section)) if parent.section else []
    where = f"in [{heading}]" if heading else "at the top of the file"
    near = _meant_key(key, known)
    if near.endswith("_file") and not key.endswith("_file"):
        words = f'put it alone into a file and write {near} = "/run/secrets/name"'
        return "secret", f"{key} would stand in this file: secrets never do", words
    message = f"there is no key {_shown(key)} {where}"
    if heading == "storage" and key == "url":
        return "not-yet", "a database server is not in this version", 'use directory = "..."'
    if near:
        return "extra_forbidden", message, f"did you mean {near}?"
    if home := _home_of(key, heading):
        return "extra_forbidden", message, home
    return "extra_forbidden", message, f"keys there are {', '.join(known)}"


def _meant(loc: Path) -> Path:
    """The place of the key that an unknown one was most likely meant to be."""
    section = follow(loc[:-1]).section
    return (*loc[:-1], _meant_key(str(loc[-1]), keys_of(section)) if section else "")


def _meant_key(key: str, known: Iterable[str]) -> str:
    if key.lower() in _SECRETS:
        return next((each for each in known if each.endswith("_file")), "")
    return nearest(key, known)


def _home_of(key: str, heading: str) -> str:
    """Where a key belongs that is right, but in the wrong table: only a heading ends a table."""
    homes = [name for name, section in SECTIONS.items() if key in keys_of(section)]
    if "" in homes and heading:
        return f"{key} belongs at the top of the file, above the first [table]"
    tables = either(dict.fromkeys(f"[{name.partition(' ')[0]}]" for name in homes))
    return f"{key} is a key of {tables}" if homes else ""
