"""MTA-STS as text: the record in DNS, the policy on the web, which hosts it means (RFC 8461). Pure.

What is malformed is no record and no policy (§3.1, §3.2): never half of one.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

MAX_AGE_MAX: Final = timedelta(seconds=31_557_600)  # §3.2: about a year
PATTERNS_MAX: Final = 100
_RECORD: Final = re.compile(r"v=STSv1\s*;.*", re.DOTALL)
_ID: Final = re.compile(r"[A-Za-z0-9]{1,32}")
_PATTERN: Final = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,62})\.)+[a-z0-9-]{1,63}")


class Mode(StrEnum):
    """What a domain wants of those who send to it (§5)."""

    ENFORCE = "enforce"  # deliver with verified TLS or not at all
    TESTING = "testing"  # deliver in any case, and report
    NONE = "none"  # as if there were no policy


class PolicyError(ValueError):
    """This is no policy; the message says why."""


class Policy(Struct, frozen=True):
    """What a domain has published.

    Attributes:
        mode: How serious it is.
        patterns: Names of its exchangers, lower-case; ``*.`` stands for one label.
        max_age: So long it may be kept.
    """

    mode: Mode
    patterns: tuple[str, ...]
    max_age: timedelta

    def means(self, host: str) -> bool:
        """Whether a host is one of the domain's exchangers (§4.1)."""
        name = host.lower().rstrip(".")
        _, _, parent = name.partition(".")
        return name in self.patterns or (bool(parent) and f"*.{parent}" in self.patterns)

    def lines(self) -> tuple[str, ...]:
        """Return it as reports quote it (RFC 8460 §4.4)."""
        seconds = int(self.max_age.total_seconds())
        names = (f"mx: {it}" for it in self.patterns)
        return ("version: STSv1", f"mode: {self.mode}", *names, f"max_age: {seconds}")


def policy_id(texts: Sequence[str]) -> str:
    """Return the id in the TXT records of ``_mta-sts.DOMAIN``; "": the domain has no policy.

    More than one record counts as none (§3.1).
    """
    records = [it for it in texts if _RECORD.fullmatch(it)]
    if len(records) != 1:
        return ""
    pairs = (part.partition("=") for part in records[0].split(";"))
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    found = fields.get("id", "")
    return found if _ID.fullmatch(found) else ""


def parse_policy(octets: bytes) -> Policy:
    """Return the policy in the file ``mta-sts.txt`` (§3.2).

    Raises:
        PolicyError: If it is none.
    """
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise PolicyError("the policy is not UTF-8") from None
    fields: dict[str, str] = {}
    patterns: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon:
            if line.strip():
                raise PolicyError(f"a line of the policy has no colon: {line[:60]!a}")
            continue
        if name == "mx":
            patterns.append(_pattern(value))
        else:
            fields.setdefault(name, value)  # §3.2: of repeated fields the first counts
    return _policy(fields, tuple(patterns))


def _policy(fields: dict[str, str], patterns: tuple[str, ...]) -> Policy:
    if fields.get("version") != "STSv1":
        raise PolicyError("the policy has no version STSv1")
    try:
        mode = Mode(fields.get("mode", ""))
    except ValueError:
        raise PolicyError(
            f"the policy has no known mode: {fields.get('mode', '')[:20]!a}"
        ) from None
    age = fields.get("max_age", "")
    if not re.fullmatch(r"[0-9]{1,10}", age):
        raise PolicyError("the policy has no max_age")
    if mode is not Mode.NONE and not patterns:
        raise PolicyError("the policy names no exchanger")
    if len(patterns) > PATTERNS_MAX:
        raise PolicyError(f"the policy names more than {PATTERNS_MAX} exchangers")
    return Policy(mode, patterns, min(timedelta(seconds=int(age)), MAX_AGE_MAX))


def _pattern(value: str) -> str:
    name = value.lower().rstrip(".")
    if not _PATTERN.fullmatch(name) or len(name) > 255:
        raise PolicyError(f"the policy names an exchanger that cannot be: {value[:60]!a}")
    return name
