"""Things that are written once and once more, in spellings that TOML cannot see to be the same."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import PydanticCustomError

from posthouse.config.catalogue import finding
from posthouse.config.diagnostic import Diagnostic
from posthouse.config.spans import Path, Spans
from posthouse.config.values import Endpoint, read_domain, read_endpoint
from posthouse.config.words import quoted

_ALL = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not opened


def duplicates(raw: dict[str, Any], spans: Spans) -> list[Diagnostic]:
    """Return an error for each second occurrence; what is no value at all is not looked at."""
    return [*_domains(raw, spans), *_endpoints(raw, spans), *_checks(raw, spans)]


def _twice(kind: str, message: str, spans: Spans, second: Path, first: Path) -> Diagnostic:
    in_key = kind == "same-domain"
    span = spans.key(second) if in_key else spans.value(second)
    words = f"it stands in line {spans.line(first)} already"
    return finding(kind, message, span, words)


def _domains(raw: dict[str, Any], spans: Spans) -> Iterator[Diagnostic]:
    seen: dict[str, str] = {}
    table = raw.get("domains")
    for written in table if isinstance(table, dict) else ():
        try:
            domain = read_domain(written)
        except PydanticCustomError:
            continue
        if domain in seen:
            message = f"{quoted(written)} and {quoted(seen[domain])} are one domain"
            yield _twice(
                "same-domain", message, spans, ("domains", written), ("domains", seen[domain])
            )
        seen.setdefault(domain, written)


def _endpoints(raw: dict[str, Any], spans: Spans) -> Iterator[Diagnostic]:
    seen: list[tuple[Endpoint, Path]] = []
    for path, endpoint in _written_endpoints(raw):
        other = next((each for each in seen if _collide(each[0], endpoint)), None)
        if other and endpoint.port:
            name = other[1][1]
            message = f"listener {name} has {other[0]} already"
            yield _twice("same-endpoint", message, spans, path, other[1])
        seen.append((endpoint, path))


def _written_endpoints(raw: dict[str, Any]) -> Iterator[tuple[Path, Endpoint]]:
    listeners = raw.get("listen")
    for name, listener in listeners.items() if isinstance(listeners, dict) else ():
        places = listener.get("on") if isinstance(listener, dict) else None
        for number, written in enumerate(places if isinstance(places, list) else ()):
            try:
                yield ("listen", name, "on", number), read_endpoint(written)
            except PydanticCustomError:
                continue


def _collide(one: Endpoint, other: Endpoint) -> bool:
    if one.port != other.port or (":" in one.host) != (":" in other.host):
        return False
    return one.host == other.host or one.host in _ALL or other.host in _ALL


def _checks(raw: dict[str, Any], spans: Spans) -> Iterator[Diagnostic]:
    seen: dict[str, Path] = {}
    entries = raw.get("screening")
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            continue
        path: Path = ("screening", number, "name")
        if name in seen:
            yield _twice(
                "same-name", f"two checks are called {quoted(name)}", spans, path, seen[name]
            )
        seen.setdefault(name, path)
