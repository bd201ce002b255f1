"""Tag lists: ``v=1; d=example.com`` (RFC 6376 §3.2)."""

import base64
import binascii
import re
from typing import Final

TAGS_MAX: Final = 64
_SPACE: Final = b" \t\r\n"
_NAME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_]*")


class TagError(ValueError):
    """Not what it must be; the message says in plain words what is wrong."""


def parse_tags(octets: bytes) -> dict[str, bytes]:
    """Return tags and their values, white space around both removed, folding undone.

    Raises:
        TagError: If it is no tag list or names a tag twice.
    """
    parts = octets.strip(_SPACE).split(b";")
    if not parts[-1].strip(_SPACE):
        parts.pop()
    if len(parts) > TAGS_MAX:
        raise TagError(f"it has more than {TAGS_MAX} tags")
    tags: dict[str, bytes] = {}
    for part in parts:
        name, equals, value = part.partition(b"=")
        name = name.strip(_SPACE)
        if not equals or not _NAME.fullmatch(name):
            raise TagError("it is no list of tag=value")
        key = name.decode()
        if key in tags:
            raise TagError(f"{key}= occurs twice")
        tags[key] = value.replace(b"\r\n", b"").strip(_SPACE)
    return tags


def text(tags: dict[str, bytes], name: str, default: str | None = None) -> str:
    """Return a tag's value as text.

    Raises:
        TagError: If it is missing and there is no default, or is not UTF-8.
    """
    value = tags.get(name)
    if value is None:
        if default is None:
            raise TagError(f"{name}= is missing")
        return default
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise TagError(f"{name}= is not UTF-8") from None


def number(tags: dict[str, bytes], name: str) -> int | None:
    """Return a tag's value as a number of at most 12 digits, None if it is missing.

    Raises:
        TagError: If it is not a number.
    """
    value = tags.get(name)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 12:
        raise TagError(f"{name}= is no number")
    return int(value)


def encoded(tags: dict[str, bytes], name: str) -> bytes:
    """Return what a tag holds in base64 (RFC 6376 §2.10), white space in it ignored.

    Raises:
        TagError: If it is missing or no base64.
    """
    if name not in tags:
        raise TagError(f"{name}= is missing")
    try:
        return base64.b64decode(b"".join(tags[name].split()), validate=True)
    except binascii.Error:
        raise TagError(f"{name}= is not base64") from None


def words(value: str) -> tuple[str, ...]:
    """Return the parts of a list with colons, without white space around them."""
    return tuple(part.strip() for part in value.split(":"))
