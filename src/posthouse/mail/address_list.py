"""The addresses in From, Sender and Reply-To, read strictly enough to decide by them.

A relay that asks "is this your own address?" must see what the recipient's mail program will see.
So whatever another parser could read differently is not read at all: routes, comments inside an
address, a display name with angle brackets, encoded words that decode to such, obsolete white
space, and characters that only look like `@`, `<` or `>` (RFC 5322 §3.4, RFC 6532 §3.2).
"""

import binascii
import quopri
import re
import unicodedata
from functools import lru_cache
from typing import Final

from posthouse.mail.address import AddressError, Mailbox, domain_for_people, parse_mailbox

VALUE_OCTETS_MAX: Final = 65_536
REMEMBERED_OCTETS_MAX: Final = 256  # longer values are read again: memory is bounded so
ADDRESSES_MAX: Final = 1_000
COMMENT_DEPTH_MAX: Final = 8

_ATEXT: Final = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x80-\U0010ffff"
_TOKEN: Final = re.compile(
    rf'(?P<space>[ \t]+)|(?P<atom>[{_ATEXT}.]+)|(?P<quoted>"(?:[^"\\]|\\.)*")'
    r"|(?P<literal>\[[^\[\]\\ \t]*\])|(?P<special>[<>@,;:(])",
    re.DOTALL,
)
_COMMENT_PART: Final = re.compile(r"[^()\\<>@]+|\\[^<>@]|[()]", re.DOTALL)
_ENCODED_WORD: Final = re.compile(r"=\?([^?\s]+)\?([A-Za-z])\?([^?\s]*)\?=")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CONFUSING: Final = re.compile(r"[<>\x00-\x08\x0a-\x1f\x7f]")

_Token = tuple[str, str]


class _UnclearError(ValueError):
    """Another parser could read this differently."""


def mailboxes_in(value: bytes) -> tuple[Mailbox, ...] | None:
    """Return the mailboxes of an unfolded address-list, members of groups included.

    Display names and comments are skipped, never interpreted. A group without members gives an
    empty tuple (RFC 6854).

    Returns:
        None if the value is empty, not an address-list, or could be read in more than one way.
    """
    if len(value) > VALUE_OCTETS_MAX:
        return None
    return _read_once(value) if len(value) <= REMEMBERED_OCTETS_MAX else _read(value)


def _read(value: bytes) -> tuple[Mailbox, ...] | None:
    try:
        text = value.decode("utf-8")
        if _CONTROL.search(text) or _looks_alike(text) or _hides_in_encoded_words(text):
            return None
        return _address_list(_tokens(text))
    except (UnicodeDecodeError, AddressError, _UnclearError):
        return None


_read_once = lru_cache(maxsize=1024)(_read)  # a message is asked for its From more than once


def _tokens(text: str) -> list[_Token]:
    """Cut into tokens; each comment and run of white space becomes one ``space``."""
    tokens: list[_Token] = []
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if not found or not (kind := found.lastgroup):
            raise _UnclearError
        place = found.end()
        if found[0] == "(":
            kind, place = "space", _after_comment(text, place)
        if kind == "space" and tokens and tokens[-1][0] == "space":
            continue
        tokens.append((kind, found[0]))
    return tokens


def _after_comment(text: str, place: int) -> int:
    depth = 1
    while depth:
        part = _COMMENT_PART.match(text, place)
        if not part or depth > COMMENT_DEPTH_MAX:
            raise _UnclearError
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        place = part.end()
    return place


def _address_list(tokens: list[_Token]) -> tuple[Mailbox, ...]:
    """``address *("," address)``, where an address may be a group: ``name: addresses;``."""
    mailboxes: list[Mailbox] = []
    at, mark, groups = 0, ",", 0
    while mark == ",":
        element, mark, at = _until(tokens, at, ",:;")
        if mark == ":":
            _check_display_name(_stripped(element) or [("special", ":")])
            members, mark, at = _until(tokens, at, ":;")
            if mark != ";":
                raise _UnclearError
            mailboxes += _members(members)
            groups += 1
            element, mark, at = _until(tokens, at, ",:;")
            if _stripped(element):
                raise _UnclearError
        else:
            mailboxes.append(_mailbox(_stripped(element)))
        if mark not in {",", ""} or len(mailboxes) + groups > ADDRESSES_MAX:
            raise _UnclearError
    return tuple(mailboxes)


def _members(tokens: list[_Token]) -> list[Mailbox]:
    """The mailboxes of a group, which may have none."""
    mailboxes: list[Mailbox] = []
    at, mark = 0, "," if _stripped(tokens) else ""
    while mark:
        element, mark, at = _until(tokens, at, ",")
        mailboxes.append(_mailbox(_stripped(element)))
        if len(mailboxes) > ADDRESSES_MAX:
            raise _UnclearError
    return mailboxes


def _until(tokens: list[_Token], at: int, marks: str) -> tuple[list[_Token], str, int]:
    """What stands before the first of `marks`, that mark ("" at the end), and where to go on.

    Nothing else is copied: a field may have thousands of groups.
    """
    for place in range(at, len(tokens)):
        kind, text = tokens[place]
        if kind == "special" and text in marks:
            return tokens[at:place], text, place + 1
    return tokens[at:], "", len(tokens)


def _mailbox(element: list[_Token]) -> Mailbox:
    """``local-part@domain`` or ``display name <local-part@domain>`` (RFC 5322 §3.4)."""
    if ("special", "<") not in element:
        return _addr_spec(element)
    opens = element.index(("special", "<"))
    if element[-1] != ("special", ">"):
        raise _UnclearError
    _check_display_name(element[:opens])
    return _addr_spec(element[opens + 1 : -1])


def _check_display_name(tokens: list[_Token]) -> None:
    """A phrase; dots are taken because everybody writes `John Q. Public` (RFC 5322 §4.1)."""
    for kind, text in tokens:
        if kind not in {"space", "atom", "quoted"}:
            raise _UnclearError
        if kind == "quoted" and _CONFUSING.search(text):
            raise _UnclearError


def _addr_spec(tokens: list[_Token]) -> Mailbox:
    """Exactly local-part, `@` and domain, with nothing between (RFC 5322 §3.4.1)."""
    match tokens:
        case [("atom" | "quoted", local_part), ("special", "@"), ("atom" | "literal", domain)]:
            pass
        case _:
            raise _UnclearError
    if "=?" in local_part or (local_part[0] == '"' and re.search(r"[@<>,;:()\\]", local_part)):
        raise _UnclearError
    mailbox = parse_mailbox(f"{local_part}@{domain}")
    if not domain.isascii() and domain_for_people(mailbox.domain) != domain.lower():
        raise _UnclearError  # signs that IDNA mapping changes or leaves out (RFC 5895)
    return mailbox


def _stripped(tokens: list[_Token]) -> list[_Token]:
    first = 1 if tokens and tokens[0][0] == "space" else 0
    last = len(tokens) - (1 if len(tokens) > first and tokens[-1][0] == "space" else 0)
    return tokens[first:last]


def _looks_alike(text: str) -> bool:
    """Whether a compatibility character would become `@`, `<` or `>` in a parser that folds."""
    if text.isascii():
        return False
    return any(
        not sign.isascii() and not set("@<>").isdisjoint(unicodedata.normalize("NFKC", sign))
        for sign in set(text)
    )


def _hides_in_encoded_words(text: str) -> bool:
    """Whether a parser that decodes first (RFC 2047 §6.2 forbids it) would see other brackets."""
    return any(
        _CONFUSING.search(_decoded(charset, encoding, payload))
        for charset, encoding, payload in _ENCODED_WORD.findall(text)
    )


def _decoded(charset: str, encoding: str, payload: str) -> str:
    """The text of an encoded word; what cannot be decoded is only a name, and shown as it is."""
    try:
        if encoding in "bB":
            octets = binascii.a2b_base64(payload + "=" * (-len(payload) % 4))
        else:
            octets = quopri.decodestring(payload.replace("_", " ").encode())
        return octets.decode(charset.partition("*")[0], "replace")
    except (LookupError, ValueError):
        return payload
