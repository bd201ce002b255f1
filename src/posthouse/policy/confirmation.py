"""May a stranger's message be taken that its author's domain does not confirm (DMARC, RFC 9989)?"""

from msgspec import Struct
from msgspec.structs import replace

from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.reasons import Reason
from posthouse.policy.rules import Rules


class Confirmation(Struct, frozen=True):
    """What is known of who stands behind a message.

    Attributes:
        domain: Of the author.
        failed: DMARC failed: the domain has a policy, and neither SPF nor DKIM confirms it.
        wish: What the domain asks for then: ``none``, ``quarantine`` or ``reject``.
        vouchers: Who passed it on and can be believed: the domain that SPF confirms, and who
            sealed it last in a chain that holds (ARC).
    """

    domain: str
    failed: bool
    wish: str = ""
    vouchers: tuple[str, ...] = ()


def decide_confirmation(decision: Decision, found: Confirmation | None, rules: Rules) -> Decision:
    """Return the decision about a message, now that this is known too.

    Only what the domain asks to reject is refused, and not if a forwarder brought it whom the
    operator trusts: a mailing list breaks signatures and is no forger (RFC 9989 §7.4).
    """
    rule = rules.authors
    if not (rule.refuses and decision.accepted and found and found.failed):
        return decision
    asks = found.wish == "reject"
    steps = [Step("the author's domain asks to reject", asks, f"{found.domain}: p={found.wish}")]
    by = next((it for it in found.vouchers if _is_among(it, rule.forwarders)), "")
    if asks:
        because = by or "no trusted forwarder brought it"
        steps.append(Step("a trusted forwarder brought it", bool(by), because, rule.where))
    told = replace(decision, trace=(*decision.trace, *steps))
    if by or not asks:
        return told
    return Decision(
        Stage.CONTENT,
        Verdict.REFUSE,
        Reason.AUTHOR_NOT_CONFIRMED,
        told.trace,
        field="From",
        subject=found.domain,
        recognitions=decision.recognitions,
    )


def _is_among(domain: str, listed: frozenset[str]) -> bool:
    """Whether a domain is one of these or below one."""
    return any(domain == one or domain.endswith(f".{one}") for one in listed)
