"""Explanations are what people read and act on: every word of them is pinned."""

from pathlib import Path

import pytest

from posthouse.policy.counterfactual import suggestions
from posthouse.policy.facts import Request
from posthouse.policy.rules import Rules
from posthouse.policy.transaction import decide_transaction, deciding
from tests.policy.situations import SITUATIONS, page

PAGE = Path(__file__).with_name("explanations.txt")


def test_every_explanation_is_as_written() -> None:
    told = "run: .venv/bin/python -m tests.policy.situations > tests/policy/explanations.txt"
    assert page() == PAGE.read_text("utf-8"), told


@pytest.mark.parametrize(("asked", "by"), SITUATIONS.values(), ids=SITUATIONS)
def test_what_is_said_to_help_in_a_situation_is_accepted(asked: Request, by: Rules) -> None:
    for it in suggestions(asked, by, deciding(decide_transaction(asked, by))):
        if it.request is not None or it.rules is not None:
            assert decide_transaction(it.request or asked, it.rules or by)[-1].accepted
