"""The rules in force at this moment: the configuration and the grants made at run time."""

from posthouse.accounts.store import AccountStore
from posthouse.cli.installation import Installation
from posthouse.config.compile import compile_rules
from posthouse.mail.address import Mailbox
from posthouse.policy.facts import Account
from posthouse.policy.rules import Rules
from posthouse.sessions.granted import doors_of


def compile_now(installation: Installation, store: AccountStore) -> Rules:
    """Return the rules, and let the store know the catch-all addresses of the configuration."""
    configuration = installation.loaded.configuration
    store.use_catch_all(
        {name: it.catch_all for name, it in configuration.domains.items() if it.catch_all}
    )
    grants = doors_of(store.grants())
    return compile_rules(configuration, installation.loaded.spans, grants, installation.path.name)


class StoredDirectory:
    """Who has which address, by the account store; a `policy.questions.Directory`."""

    def __init__(self, store: AccountStore, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    def account(self, name: Mailbox) -> Account | None:
        """Return the account one signs in to by this name."""
        return self._store.find(str(name))

    def owner(self, mailbox: Mailbox) -> Account | None:
        """Return the account that mail for this address reaches, if it is one."""
        found = self._store.resolve(mailbox, plus_tags=self._rules.identity.plus_tags)
        return self._store.find(found.accounts[0]) if len(found.accounts) == 1 else None

    def exists(self, mailbox: Mailbox) -> bool | None:
        """Return whether a local address leads anywhere."""
        domain = self._rules.local_domains.get(mailbox.domain)
        if domain is None:
            return None
        if domain.relayed or mailbox.local_part.lower() == "postmaster":
            return True
        return self._store.resolve(mailbox, plus_tags=self._rules.identity.plus_tags).known
