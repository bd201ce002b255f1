"""Cross-checks of each door: can it open, when does it close, what does it give away."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from posthouse.config import schema
from posthouse.config.catalogue import finding
from posthouse.config.diagnostic import Diagnostic
from posthouse.config.listening import takes_mail, takes_sign_ins
from posthouse.config.schema import Configuration
from posthouse.config.spans import Path, Spans
from posthouse.config.words import nearest
from posthouse.policy.recognition import end_of, end_text

_SOON: Final = timedelta(days=7)


def check_doors(configuration: Configuration, spans: Spans, now: datetime) -> Iterator[Diagnostic]:
    """Yield what is wrong or suspicious about doors, one by one and together."""
    for number, door in enumerate(configuration.may_relay):
        path: Path = ("may_relay", number)
        yield from _listeners(configuration, door, path, spans)
        yield from _end(door, path, spans, now)
        yield from _senders(configuration, door, path, spans)
        yield from _own_kind(configuration, door, path, spans)
    yield from _same_names(configuration, spans)
    yield from _sign_in(configuration, spans, now)


def has_ended(door: schema.Door, now: datetime) -> bool:
    """Whether the door has closed itself."""
    return door.until is not None and now >= end_of(door.until)


def _listeners(
    configuration: Configuration, door: schema.Door, path: Path, spans: Spans
) -> Iterator[Diagnostic]:
    for position, name in enumerate(door.listeners or ()):
        place = spans.value((*path, "listeners", position))
        listener = configuration.listen.get(name)
        if listener is None:
            near = nearest(name, configuration.listen)
            known = ", ".join(configuration.listen)
            words = f'did you mean "{near}"?' if near else f"there are {known}"
            yield finding("listener-unknown", f"there is no listener {name}", place, words)
        elif not takes_mail(listener):
            message = f"listener {name} serves {listener.service.value}: no mail comes in there"
            words = "name listeners of service smtp or submission"
            yield finding("listener-other-service", message, place, words)


def _end(door: schema.Door, path: Path, spans: Spans, now: datetime) -> Iterator[Diagnostic]:
    if door.until is None:
        return
    place = spans.value((*path, "until"))
    if has_ended(door, now):
        message = f"{_called(door)} ended {end_text(door.until)} and lets nobody in"
        yield finding("ended", message, place, "take the entry out, or give it a new end")
    elif end_of(door.until) - now <= _SOON:
        days = (end_of(door.until) - now).days
        left = f"in {days} days" if days > 1 else "within two days" if days else "within a day"
        words = "tell those who use it, or give it a new end"
        yield finding(
            "ends-soon", f"{_called(door)} ends {left} ({end_text(door.until)})", place, words
        )


def _called(door: schema.Door) -> str:
    return f'door "{door.name}"' if door.name else "this door"


def _senders(
    configuration: Configuration, door: schema.Door, path: Path, spans: Spans
) -> Iterator[Diagnostic]:
    for position, pattern in enumerate(door.sends_as or ()):
        domain = pattern.rpartition("@")[2].removeprefix("*.")
        if not _is_ours(domain, configuration) or pattern == "*":
            message = f"{_called(door)} may write as {pattern}, which is not in our domains"
            words = "SPF and DMARC of that domain must allow this server"
            place = spans.value((*path, "sends_as", position))
            yield finding("sends-as-foreign", message, place, words)


def _is_ours(domain: str, configuration: Configuration) -> bool:
    while domain:
        if domain in configuration.domains:
            return True
        domain = domain.partition(".")[2]
    return False


def _own_kind(
    configuration: Configuration, door: schema.Door, path: Path, spans: Spans
) -> Iterator[Diagnostic]:
    services = {listener.service for listener in configuration.listen.values()}
    if isinstance(door, schema.PopWindow) and schema.ServiceName.POP3 not in services:
        words = 'add a listener with service = "pop3", or take this door out'
        message = "nobody can fetch mail here, so this door never opens"
        yield finding("window-unused", message, spans.value((*path, "who")), words)
    if isinstance(door, schema.Certificate) and not configuration.tls.client_authorities:
        message = "nobody vouches for certificates of clients"
        words = 'add client_authorities = "/etc/posthouse/clients.pem" to [tls]'
        yield finding("no-authorities", message, spans.value((*path, "who")), words)
    if isinstance(door, schema.HostName) and door.linger < door.refresh:
        message = "an address may be forgotten before it is looked up again"
        place = spans.value((*path, "linger"))
        yield finding("linger-short", message, place, "make linger longer than refresh")


def _same_names(configuration: Configuration, spans: Spans) -> Iterator[Diagnostic]:
    seen: dict[str, Path] = {}
    for number, door in enumerate(configuration.may_relay):
        path: Path = ("may_relay", number, "name")
        if door.name and door.name in seen:
            message = f'two doors are called "{door.name}"'
            words = f"the other one is in line {spans.line(seen[door.name])}"
            yield finding("same-door-name", message, spans.value(path), words)
        seen.setdefault(door.name, path)


def _sign_in(configuration: Configuration, spans: Spans, now: datetime) -> Iterator[Diagnostic]:
    doors = [
        door
        for door in configuration.may_relay
        if isinstance(door, schema.SignedIn) and not has_ended(door, now)
    ]
    for name, listener in configuration.listen.items():
        if any(takes_sign_ins(door, name, listener) for door in doors):
            return
    message = "nobody can sign in to send mail"
    place = spans.key(("may_relay", 0)) if spans.line(("may_relay", 0)) else None
    words = '[[may_relay]]\nwho = "signed-in"'
    if doors:
        words = 'add a listener with service = "submission"'
    yield finding("nobody-signs-in", message, place, words)
