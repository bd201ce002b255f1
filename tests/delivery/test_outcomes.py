"""What a next hop's reply means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.delivery.outcomes import (
    Deferred,
    Delivered,
    Expanded,
    Failed,
    Speaker,
    outcome_of,
    report_action,
)
from posthouse.mail.delivery_status import Action
from posthouse.mail.reply import Reply


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(250, "2.0.0", "ok"), Delivered("250 2.0.0 ok", "h")),
        (Reply(451, "4.7.1", "later"), Deferred("4.7.1", "451 4.7.1 later", "h")),
        (Reply(550, "5.1.1", "no\nno"), Failed("5.1.1", "550 5.1.1 no; no", "h")),
        (Reply(550, "", "no"), Failed("5.0.0", "550 no", "h")),
        (Reply(550, "4.1.1", "no"), Failed("5.0.0", "550 4.1.1 no", "h")),
        (Reply(450, "nonsense", "no"), Deferred("4.0.0", "450 nonsense no", "h")),
        (Reply(354, "", "go"), Deferred("4.0.0", "354 go", "h")),
    ],
)
def test_replies_become_outcomes(reply: Reply, outcome: object) -> None:
    assert outcome_of(reply, Speaker("h")) == outcome


@given(st.builds(Reply, st.integers(200, 599), st.text(max_size=8), st.text(max_size=2000)))
def test_any_words_become_one_short_printable_line(reply: Reply) -> None:
    words = outcome_of(reply, Speaker("h")).words
    assert words.isascii()
    assert words.isprintable()
    assert len(words) <= 800


def test_outcomes_are_named_as_reports_do() -> None:
    assert report_action(Delivered("ok", "mx.example")) is Action.RELAYED
    assert report_action(Delivered("ok")) is Action.DELIVERED
    assert report_action(Delivered("ok", "mx.example", final=True)) is Action.DELIVERED
    assert report_action(Expanded((), "")) is Action.EXPANDED
    assert report_action(Deferred("4.0.0", "")) is Action.DELAYED
    assert report_action(Failed("5.0.0", "")) is Action.FAILED
