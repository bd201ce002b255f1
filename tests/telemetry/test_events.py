"""The list of log events is public: complete, documented, in step with its page."""

import re
from pathlib import Path

import pytest

from posthouse.telemetry.event import LogEvent
from posthouse.telemetry.events import EVENTS, Level
from posthouse.telemetry.reference import events_page, field_meanings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"

# Names are never taken away and never changed: only add to this list.
NAMES = {
    "accepted", "address-found", "address-lost", "bounced", "bug-met", "connected", "decided",
    "deferred", "delivered", "disconnected", "disk-full", "dropped", "events-dropped", "failed",
    "grant-changed", "held", "mail-fetched", "name-unreadable", "noted", "refused", "released",
    "reload-failed", "reloaded", "shadow-differs", "sign-in-failed", "signed-in", "started",
    "stopped", "store-failed", "tls-failed", "tls-started", "worker-ended", "worker-started",
}  # fmt: skip


def test_the_list_is_closed() -> None:
    assert set(EVENTS) == NAMES
    assert set(EVENTS.values()) == set(LogEvent.__subclasses__())


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_an_event_says_what_each_field_means(kind: type[LogEvent]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.name)
    assert isinstance(kind.level, Level)
    assert list(field_meanings(kind)) == list(kind.__struct_fields__)
    assert not {"at", "level", "event", "worker"} & set(kind.__struct_fields__), "the log's own"


def test_the_page_is_in_step() -> None:
    told = "run: .venv/bin/python -m posthouse.telemetry.reference > docs/reference/events.md"
    assert PAGE.read_text(encoding="utf-8") == events_page(), told
