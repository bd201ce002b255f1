"""What would help, remembered: refusals come by the thousand, and most of them are alike."""

from collections.abc import Hashable
from typing import Final

from posthouse.policy.counterfactual import would_help
from posthouse.policy.decision import Decision
from posthouse.policy.facts import Request
from posthouse.policy.reasons import RELAY_REFUSALS, Reason
from posthouse.policy.rules import Rules

KINDS_MAX: Final = 2_000  # remembered; then all are forgotten
_MINUTE: Final = 60  # seconds after which advice is made anew: entries end
_ADDRESS: Final = "\0"  # stands for the client's address in remembered texts
_STRANGERS: Final = RELAY_REFUSALS | {Reason.SIGN_IN_FIRST}


class Advice:
    """Asks the policy once for each kind of refusal.

    Strangers' refusals that differ only in what the policy's advice does not look at (the address
    itself, the names of foreign senders and recipients) are of one kind. Other refusals, which
    come from people we know, are always asked about.
    """

    def __init__(self) -> None:
        self._rules: Rules | None = None
        self._narrow = False  # some door is for certain recipients only
        self._particular = False  # some door is for certain senders
        self._known: dict[Hashable, tuple[str, ...]] = {}

    def would_help(self, request: Request, rules: Rules, decision: Decision) -> tuple[str, ...]:
        """Return what would let this mail through, smallest change first."""
        if decision.reason not in _STRANGERS or request.client.signed_in is not None:
            return would_help(request, rules, decision)
        if rules is not self._rules or len(self._known) >= KINDS_MAX:
            self._rules = rules
            self._narrow = any(door.sends_to is not None for door in rules.doors)
            self._particular = any(door.sends_as is not None for door in rules.doors)
            self._known.clear()
        key = self._kind(request, rules, decision)
        address = str(request.client.address)
        texts = self._known.get(key)
        if texts is None:
            found = would_help(request, rules, decision)
            texts = tuple(text.replace(address, _ADDRESS) for text in found)
            self._known[key] = texts
        return tuple(text.replace(_ADDRESS, address) for text in texts)

    def _kind(self, request: Request, rules: Rules, decision: Decision) -> Hashable:
        client, recipient, path = request.client, request.forward_path, request.reverse_path
        mailbox = path.mailbox if path is not None else None
        owner = request.sender_account
        foreign = (
            not self._particular
            and mailbox is not None
            and owner is None
            and mailbox.domain not in rules.local_domains
        )
        return (
            decision.stage,
            decision.reason,
            client.listener,
            bool(client.address_lost),
            bool(rules.networks.find(client.address)),
            "" if foreign else (mailbox, owner),
            recipient if self._narrow else recipient and recipient.domain,
            request.recipient_exists,
            len(request.recipients) >= rules.limits.recipients_per_message - 1,
            request.octets > rules.limits.message_octets,
            request.usage,
            int(request.at.timestamp()) // _MINUTE,
        )
