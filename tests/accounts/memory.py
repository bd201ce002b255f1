"""An account store in memory, for tests that need no file. It passes the conformance suite."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from posthouse.accounts import aliases, granted_networks
from posthouse.accounts.store import (
    AccountError,
    AccountExistsError,
    AccountRecord,
    Alias,
    AliasExistsError,
    Credential,
    CredentialKind,
    Grant,
    GrantError,
    Resolution,
    UnknownAccountError,
    UnknownAliasError,
    UnknownCredentialError,
)
from posthouse.mail.address import AddressError, Mailbox, parse_mailbox
from posthouse.policy.facts import Account


class MemoryAccountStore:
    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._records: dict[Mailbox, tuple[bool, datetime]] = {}
        self._languages: dict[Mailbox, str] = {}
        self._aliases: dict[Mailbox, tuple[Mailbox, ...]] = {}
        self._credentials: dict[int, Credential] = {}
        self._grants: dict[int, Grant] = {}
        self._catch_all: Mapping[str, Mailbox] = {}
        self._number = 0

    def add(self, name: Mailbox, password_hash: str, *, scram: str = "") -> AccountRecord:
        if name.folded in self._records:
            raise AccountExistsError("taken")
        self._records[name.folded] = (False, self._now())
        kind = CredentialKind.ACCOUNT
        self._add_credential(str(name.folded), "", kind, password_hash, scram)
        return next(it for it in self.list() if it.name == str(name.folded))

    def remove(self, name: str) -> None:
        key = self._known(name)
        del self._records[key]
        for credential in self.credentials_of(key):
            del self._credentials[credential.id]
        left = {
            place: tuple(it for it in targets if it.folded != key)
            for place, targets in self._aliases.items()
        }
        self._aliases = {place: targets for place, targets in left.items() if targets}

    def set_password(self, name: str, password_hash: str, *, scram: str = "") -> None:
        key = self._known(name)
        own = next(it for it in self.credentials_of(key) if not it.name)
        del self._credentials[own.id]
        self._add_credential(str(key), "", CredentialKind.ACCOUNT, password_hash, scram)

    def disable(self, name: str) -> None:
        key = self._known(name)
        self._records[key] = (True, self._records[key][1])

    def enable(self, name: str) -> None:
        key = self._known(name)
        self._records[key] = (False, self._records[key][1])

    def set_language(self, name: str, language: str) -> None:
        self._languages[self._known(name)] = language

    def language(self, name: str) -> str:
        return next((it for key, it in self._languages.items() if str(key) == name), "")

    def list(self) -> tuple[AccountRecord, ...]:
        return tuple(
            AccountRecord(
                str(key),
                (str(key), *sorted(str(it) for it in self._leading_to(key) if it != key)),
                disabled,
                created,
            )
            for key, (disabled, created) in sorted(self._records.items())
        )

    def find(self, name: str) -> Account | None:
        key = self._key(name)
        if key is None or self._records[key][0]:
            return None
        domains = aliases.catch_all_domains(key, self, self._catch_all)
        return Account(str(key), self._leading_to(key), domains)

    def resolve(self, mailbox: Mailbox, *, plus_tags: bool) -> Resolution:
        return aliases.expand(mailbox, self, self._catch_all, plus_tags=plus_tags)

    def use_catch_all(self, catch_all: Mapping[str, Mailbox]) -> None:
        self._catch_all = dict(catch_all)

    def add_alias(self, address: Mailbox, targets: Iterable[Mailbox]) -> Alias:
        place, wanted = address.folded, tuple(sorted(targets))
        if not wanted:
            raise AccountError("an alias needs a target")
        if place in self._aliases:
            raise AliasExistsError("an alias already")
        self._aliases[place] = wanted
        if not aliases.expand(place, self, {}, plus_tags=True).known:
            del self._aliases[place]
            raise AccountError("leads nowhere")
        return Alias(place, wanted)

    def remove_alias(self, address: Mailbox) -> None:
        if self._aliases.pop(address.folded, None) is None:
            raise UnknownAliasError("no alias")

    def aliases(self) -> tuple[Alias, ...]:
        return tuple(Alias(place, targets) for place, targets in sorted(self._aliases.items()))

    def credentials(self, name: str, *, lately: bool = False) -> tuple[Credential, ...]:
        key = self._key(name)
        return self.credentials_of(key) if key else ()

    def credentials_of(self, key: Mailbox) -> tuple[Credential, ...]:
        own = [it for it in self._credentials.values() if it.account == str(key)]
        return tuple(sorted(own, key=lambda it: it.name))

    def add_submission_password(
        self, account: str, label: str, password_hash: str, *, scram: str = ""
    ) -> Credential:
        key = self._known(account)
        taken = {it.name for it in self.credentials_of(key)}
        if not label.strip() or not label.isprintable() or label in taken:
            raise AccountError("needs a name of its own")
        kind = CredentialKind.SUBMISSION
        return self._add_credential(str(key), label, kind, password_hash, scram)

    def revoke(self, account: str, label: str) -> None:
        for credential in self.credentials_of(self._known(account)):
            if credential.name == label and credential.kind is CredentialKind.SUBMISSION:
                del self._credentials[credential.id]
                return
        raise UnknownCredentialError("no such password")

    def is_valid(self, credential_id: int) -> bool:
        credential = self._credentials.get(credential_id)
        return credential is not None and self.find(credential.account) is not None

    def rehash(self, credential_id: int, password_hash: str, *, scram: str) -> None:
        if credential_id not in self._credentials:
            raise UnknownCredentialError("gone")
        old = self._credentials[credential_id]
        self._credentials[credential_id] = msgspec.structs.replace(
            old, hash=password_hash, scram=scram
        )

    def salt_key(self) -> bytes:
        return b"salt key of this test"

    def all_know_scram(self) -> bool:
        return all(
            it.scram or it.hash.startswith("{SCRAM-SHA-256}")
            for it in self._credentials.values()
            if it.kind is CredentialKind.ACCOUNT and self.find(it.account)
        )

    def note_used(self, credential_id: int, at: datetime) -> None:
        used = msgspec.structs.replace(self._credentials[credential_id], last_used=at)
        self._credentials[credential_id] = used

    def grants(self) -> tuple[Grant, ...]:
        return tuple(self._grants.values())

    def add_grant(
        self, networks: str, *, name: str, until: datetime | None, because: str, by: str
    ) -> Grant:
        listed = granted_networks.checked(networks, because)
        open_now = [it for it in self.grants() if not it.ended(self._now())]
        granted_networks.check_together((net for it in open_now for net in it.networks), listed)
        if until is not None and until <= self._now():
            raise GrantError("the end is past")
        self._number += 1
        grant = Grant(
            self._number, listed, name or ", ".join(listed), until, because, by, self._now()
        )
        self._grants[grant.id] = grant
        return grant

    def remove_grant(self, grant_id: int) -> None:
        if self._grants.pop(grant_id, None) is None:
            raise GrantError("no such grant")

    def close(self) -> None:
        pass

    # aliases.Directory

    def is_account(self, mailbox: Mailbox) -> bool:
        return mailbox in self._records

    def targets(self, mailbox: Mailbox) -> tuple[Mailbox, ...]:
        return self._aliases.get(mailbox, ())

    def sources(self, mailbox: Mailbox) -> Iterator[tuple[Mailbox, Mailbox]]:
        for place, targets in self._aliases.items():
            for target in targets:
                if target.folded.without_tag() == mailbox.without_tag():
                    yield place, target

    def sources_in(self, domain: str) -> Iterator[tuple[Mailbox, Mailbox]]:
        for place, targets in self._aliases.items():
            for target in targets:
                if target.domain == domain:
                    yield place, target

    def _leading_to(self, key: Mailbox) -> frozenset[Mailbox]:
        return aliases.leading_to(key, self, self._catch_all)

    def _key(self, name: str) -> Mailbox | None:
        if "@" not in name:
            same = [key for key in self._records if key.local_part == name.casefold()]
            return same[0] if len(same) == 1 else None
        try:
            key = parse_mailbox(name).folded
        except AddressError:
            return None
        return key if key in self._records else None

    def _known(self, name: str) -> Mailbox:
        key = self._key(name)
        if key is None:
            raise UnknownAccountError(f"there is no account {name}")
        return key

    def _add_credential(
        self, account: str, label: str, kind: CredentialKind, password_hash: str, scram: str
    ) -> Credential:
        self._number += 1
        new = Credential(
            self._number, account, label, kind, password_hash, self._now(), scram=scram
        )
        self._credentials[new.id] = new
        return new
