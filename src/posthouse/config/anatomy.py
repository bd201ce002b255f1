"""Which class of the schema describes which table: for suggestions and for the reference."""

from types import UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from posthouse.config.schema import Configuration

Section = type[BaseModel]


class Place(NamedTuple):
    """Where a pydantic `loc` leads: the path in the file, and what describes it."""

    path: tuple[str | int, ...]
    section: Section | None
    in_key: bool


def keys_of(section: Section) -> dict[str, FieldInfo]:
    """Return the keys of a table, as they are written, with their fields."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def follow(loc: tuple[str | int, ...]) -> Place:
    """Follow a pydantic `loc`; tags of doors and markers of keys are no part of the path."""
    path: list[str | int] = []
    now: Any = Configuration
    for part in loc:
        doors = doors_in(now)
        if doors and part in doors:
            now = doors[str(part)]
        elif part == "[key]":
            return Place(tuple(path), None, in_key=True)
        else:
            path.append(part)
            now = _below(now, part)
    return Place(tuple(path), now if _is_section(now) else None, in_key=False)


def doors_in(annotation: object) -> dict[str, Section]:
    """Return the sections of a union that is told apart by `who`, by that word; else nothing."""
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    if not options or not all(_is_section(each) for each in options):
        return {}
    return {get_args(each.model_fields["who"].annotation)[0]: each for each in options}


def inside(annotation: object) -> Any:  # noqa: ANN401 - a type form, for which 3.11 has no type
    """Return what a type holds: without Annotated, None, and the tuple or dict around it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return inside(arguments[0])
    if origin in (Union, UnionType):
        rest = [each for each in arguments if each is not type(None)]
        return inside(rest[0]) if len(rest) == 1 else annotation
    if origin is tuple:
        return inside(arguments[0])
    if origin is dict:
        return inside(arguments[1])
    return annotation


def words_of(annotation: object) -> tuple[str, ...]:
    """Return the words that a Literal allows."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _below(now: Any, part: str | int) -> Any:  # noqa: ANN401 - type forms again
    if _is_section(now):
        field = keys_of(now).get(str(part))
        return _stripped(field.annotation) if field else None
    if get_origin(now) in (tuple, dict):
        return inside(now)
    return None


def _stripped(annotation: object) -> Any:  # noqa: ANN401 - type forms again
    """Without Annotated and None, but with the tuple or dict around it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _stripped(arguments[0])
    rest = [each for each in arguments if each is not type(None)]
    if origin in (Union, UnionType) and len(rest) == 1:
        return _stripped(rest[0])
    return annotation


def _is_section(candidate: object) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)


def _sections() -> dict[str, Section]:
    """Every table by its heading, such as ``outbound.route``; "" is the top."""
    found: dict[str, Section] = {}

    def add(heading: str, section: Section) -> None:
        found[heading] = section
        for key, field in keys_of(section).items():
            below = inside(field.annotation)
            name = f"{heading}.{key}".lstrip(".")
            if get_origin(_stripped(field.annotation)) is dict and key in ("domains", "listen"):
                name += ".NAME"
            if _is_section(below):
                add(name, below)
            for who, door in doors_in(below).items():
                found[f"{name} {who}"] = door

    add("", Configuration)
    return found


SECTIONS: Final = _sections()
