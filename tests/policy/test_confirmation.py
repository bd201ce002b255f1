"""Mail that its author's domain does not confirm."""

import pytest
from msgspec.structs import replace

from posthouse.policy.confirmation import Confirmation, decide_confirmation
from posthouse.policy.decision import Decision, Stage, Verdict
from posthouse.policy.networks import NetworkTable
from posthouse.policy.reasons import Reason
from posthouse.policy.rules import AuthorRule, Rules

FINE = Decision(Stage.CONTENT, Verdict.ACCEPT, Reason.CONTENT_FINE)
FAILED = Confirmation("bank.example", failed=True, wish="reject")
MARKS = Rules("mail.proseware.com", {}, {}, (), NetworkTable([]))
ENFORCES = replace(
    MARKS,
    authors=AuthorRule(
        refuses=True, forwarders=frozenset({"lists.example"}), where="posthouse.toml:9"
    ),
)


def test_unless_the_operator_wants_it_nothing_is_refused() -> None:
    assert decide_confirmation(FINE, FAILED, MARKS) == FINE
    assert decide_confirmation(FINE, None, ENFORCES) == FINE


def test_what_the_domain_asks_to_reject_is_refused_and_the_trace_says_so() -> None:
    decision = decide_confirmation(FINE, FAILED, ENFORCES)
    assert (decision.verdict, decision.reason) == (Verdict.REFUSE, Reason.AUTHOR_NOT_CONFIRMED)
    assert (decision.field, decision.subject) == ("From", "bank.example")
    asks, by = decision.trace
    assert (asks.answer, asks.because) == (True, "bank.example: p=reject")
    assert (by.answer, by.where) == (False, "posthouse.toml:9")


def test_held_mail_that_is_refused_anyway_is_not_kept() -> None:
    held = Decision(Stage.CONTENT, Verdict.HOLD, Reason.LOOKS_LIKE_SPAM)
    assert decide_confirmation(held, FAILED, ENFORCES).verdict is Verdict.REFUSE


@pytest.mark.parametrize(
    "found",
    [
        replace(FAILED, failed=False),
        replace(FAILED, wish="quarantine"),
        replace(FAILED, wish="none"),
        replace(FAILED, wish=""),
        replace(FAILED, vouchers=("lists.example",)),
        replace(FAILED, vouchers=("other.example", "a.lists.example")),
    ],
)
def test_everything_else_is_accepted(found: Confirmation) -> None:
    decision = decide_confirmation(FINE, found, ENFORCES)
    assert (decision.verdict, decision.reason) == (Verdict.ACCEPT, Reason.CONTENT_FINE)


@pytest.mark.parametrize("voucher", ["badlists.example", "example", "lists.example.evil.example"])
def test_a_name_that_only_looks_like_a_trusted_one_is_none(voucher: str) -> None:
    found = replace(FAILED, vouchers=(voucher,))
    assert decide_confirmation(FINE, found, ENFORCES).verdict is Verdict.REFUSE
