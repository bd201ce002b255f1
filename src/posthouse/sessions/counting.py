"""How much the sender of a transaction has sent: the counters, asked in the policy's words."""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from posthouse.accounts.usage import UsageCounters
from posthouse.mail.address import Mailbox
from posthouse.policy.facts import Usage
from posthouse.policy.rules import Limits
from posthouse.sessions.transaction import Transaction

NO_USAGE: Final = Usage()


class Counting:
    """Asks and feeds the counters; strangers, who only reach our own people, are not counted."""

    def __init__(self, counters: UsageCounters, limits: Callable[[], Limits]) -> None:
        self._counters = counters
        self._limits = limits

    def now(self, transaction: Transaction, forward_path: Mailbox | None) -> Usage:
        """Return what its sender sent lately, this transaction's accepted recipients included.

        Where the recipient in question was written to before, the budget of new recipients does
        not matter, so none are counted.
        """
        limits = self._limits()
        if not transaction.recognised:
            return NO_USAGE
        usage = self._counts(transaction, transaction.mailboxes, limits)
        no_account = not transaction.account  # then new recipients are not counted
        if no_account or forward_path is None or limits.account_new_recipients is None:
            return usage
        with_it = self._counts(transaction, (*transaction.mailboxes, forward_path), limits)
        if with_it.account_new_recipients == usage.account_new_recipients:
            return replace(usage, account_new_recipients=0)
        return usage

    def _counts(
        self, transaction: Transaction, recipients: tuple[Mailbox, ...], limits: Limits
    ) -> Usage:
        client = transaction.client
        at = transaction.at
        return self._counters.counts(transaction.account, client.address, recipients, limits, at)

    def add(self, transaction: Transaction) -> None:
        """Count the recipients of a message that is being accepted."""
        if transaction.recognised:
            self._counters.record(
                transaction.account,
                transaction.client.address,
                transaction.mailboxes,
                transaction.at,
            )
