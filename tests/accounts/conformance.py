"""What every `AccountStore` must do. A new store is correct when this class passes."""

from abc import abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from posthouse.accounts.store import (
    AccountError,
    AccountExistsError,
    AccountStore,
    AliasExistsError,
    CredentialKind,
    GrantError,
    UnknownAccountError,
    UnknownAliasError,
    UnknownCredentialError,
)
from posthouse.mail.address import Mailbox, parse_mailbox
from posthouse.policy.facts import Account

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ANN, BOB, SALES, ALL = (
    parse_mailbox(f"{name}@example.com") for name in ("ann", "bob", "sales", "all")
)
FAR = Mailbox("Ann.Smith", "far.example")


def known(store: AccountStore, name: str) -> Account:
    account = store.find(name)
    assert account is not None
    return account


class AccountStoreConformance:
    @abstractmethod
    def new_store(self) -> AccountStore:
        """Return an empty store whose clock says NOON."""

    @pytest.fixture
    def store(self) -> Iterator[AccountStore]:
        store = self.new_store()
        yield store
        store.close()

    # accounts

    def test_a_name_is_taken_once_in_any_case(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        with pytest.raises(AccountExistsError):
            store.add(parse_mailbox("Ann@EXAMPLE.com"), "hash")

    def test_an_account_is_found_in_any_case(self, store: AccountStore) -> None:
        store.add(parse_mailbox("Ann@example.com"), "hash")
        assert known(store, "ANN@Example.COM").name == "ann@example.com"

    def test_a_bare_local_part_will_do_while_one_domain_has_it(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        assert known(store, "Ann").name == "ann@example.com"
        store.add(Mailbox("ann", "example.net"), "hash")
        assert store.find("ann") is None
        assert known(store, "ann@example.net").name == "ann@example.net"

    @pytest.mark.parametrize("name", ["", "@", "ann@", "a@b@c", "\x00", "nobody", "x" * 5000])
    def test_a_name_nobody_has_finds_nothing(self, store: AccountStore, name: str) -> None:
        store.add(ANN, "hash")
        assert store.find(name) is None
        assert store.credentials(name) == ()

    def test_an_account_is_listed_with_its_addresses(self, store: AccountStore) -> None:
        record = store.add(BOB, "hash")
        assert record.created == NOON
        store.add(ANN, "hash")
        store.add_alias(SALES, [BOB])
        assert [record.name for record in store.list()] == ["ann@example.com", "bob@example.com"]
        assert store.list()[1].addresses == ("bob@example.com", "sales@example.com")

    def test_a_removed_account_is_gone_with_its_passwords_and_places(
        self, store: AccountStore
    ) -> None:
        store.add(ANN, "hash")
        store.add(BOB, "hash")
        store.add_alias(SALES, [ANN])
        store.add_alias(ALL, [ANN, BOB])
        (credential,) = store.credentials("ann@example.com")
        store.remove("ann@example.com")
        assert store.find("ann@example.com") is None
        assert not store.is_valid(credential.id)
        assert not store.resolve(SALES, plus_tags=True).known
        assert store.resolve(ALL, plus_tags=True).accounts == ("bob@example.com",)

    def test_a_disabled_account_cannot_sign_in_but_gets_its_mail(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        (credential,) = store.credentials("ann@example.com")
        store.disable("ann@example.com")
        assert store.find("ann@example.com") is None
        assert not store.is_valid(credential.id)
        assert store.resolve(ANN, plus_tags=False).accounts == ("ann@example.com",)
        store.enable("ann@example.com")
        assert store.find("ann@example.com") is not None
        assert store.is_valid(credential.id)

    def test_a_person_chooses_a_language(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        assert store.language("ann@example.com") == ""
        store.set_language("ann", "zh_Hans")
        assert store.language("ann@example.com") == "zh_Hans"
        assert store.language("nobody@example.com") == ""

    def test_what_needs_an_account_says_when_there_is_none(self, store: AccountStore) -> None:
        for attempt in (
            lambda: store.remove("ann@example.com"),
            lambda: store.set_password("ann@example.com", "hash"),
            lambda: store.disable("ann@example.com"),
            lambda: store.set_language("ann@example.com", "en"),
            lambda: store.enable("ann@example.com"),
            lambda: store.add_submission_password("ann@example.com", "phone", "hash"),
            lambda: store.revoke("ann@example.com", "phone"),
        ):
            with pytest.raises(UnknownAccountError, match="no account ann@"):
                attempt()

    # where mail goes

    def test_an_account_gets_its_own_mail(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        found = store.resolve(parse_mailbox("ANN@example.com"), plus_tags=False)
        assert found.accounts == ("ann@example.com",)
        assert not store.resolve(BOB, plus_tags=False).known

    def test_a_group_leads_to_all_of_it_once(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        store.add(BOB, "hash")
        store.add_alias(SALES, [ANN, BOB])
        store.add_alias(ALL, [SALES, ANN, FAR])
        found = store.resolve(ALL, plus_tags=False)
        assert found.accounts == ("ann@example.com", "bob@example.com")
        assert found.forwards == (FAR,)  # in the spelling its host may need

    def test_plus_tags_are_looked_through_where_they_are_on(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        tagged = parse_mailbox("ann+shop@example.com")
        assert store.resolve(tagged, plus_tags=True).accounts == ("ann@example.com",)
        assert not store.resolve(tagged, plus_tags=False).known

    def test_the_exact_address_comes_before_the_one_without_a_tag(
        self, store: AccountStore
    ) -> None:
        store.add(ANN, "hash")
        store.add(BOB, "hash")
        tagged = parse_mailbox("ann+bob@example.com")
        store.add_alias(tagged, [BOB])
        assert store.resolve(tagged, plus_tags=True).accounts == ("bob@example.com",)

    def test_a_catch_all_takes_what_nobody_has(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        store.add(BOB, "hash")
        store.use_catch_all({"example.com": parse_mailbox("ann+rest@example.com")})
        assert store.resolve(SALES, plus_tags=True).accounts == ("ann@example.com",)
        assert store.resolve(BOB, plus_tags=True).accounts == ("bob@example.com",)
        assert known(store, "ann@example.com").catch_all_domains == {"example.com"}
        assert known(store, "bob@example.com").catch_all_domains == frozenset()
        store.use_catch_all({"example.com": FAR})
        assert store.resolve(SALES, plus_tags=True).forwards == (FAR,)
        assert known(store, "ann@example.com").catch_all_domains == frozenset()

    def test_loops_end(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        store.add_alias(SALES, [ALL, ANN])
        store.add_alias(ALL, [SALES])
        assert store.resolve(ALL, plus_tags=True).accounts == ("ann@example.com",)
        assert store.resolve(SALES, plus_tags=True).accounts == ("ann@example.com",)

    def test_an_alias_may_not_lead_nowhere(self, store: AccountStore) -> None:
        with pytest.raises(AccountError, match="nowhere"):
            store.add_alias(SALES, [SALES])
        with pytest.raises(AccountError, match="needs a target"):
            store.add_alias(SALES, [])
        assert store.aliases() == ()

    def test_an_account_may_forward_and_keep_a_copy(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        store.add_alias(ANN, [FAR])
        assert store.resolve(ANN, plus_tags=True).accounts == ()
        assert known(store, "ann@example.com").addresses == {ANN}
        store.remove_alias(ANN)
        store.add_alias(ANN, [ANN, FAR])
        found = store.resolve(ANN, plus_tags=True)
        assert (found.accounts, found.forwards) == (("ann@example.com",), (FAR,))

    def test_aliases_are_listed_and_removed(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        alias = store.add_alias(parse_mailbox("Sales@example.com"), [ANN, FAR])
        assert store.aliases() == (alias,)
        with pytest.raises(AliasExistsError):
            store.add_alias(SALES, [ANN])
        store.remove_alias(SALES)
        with pytest.raises(UnknownAliasError):
            store.remove_alias(SALES)

    def test_the_addresses_of_an_account_are_all_that_lead_to_it(self, store: AccountStore) -> None:
        store.add(ANN, "hash")
        store.add(BOB, "hash")
        store.add_alias(SALES, [parse_mailbox("Ann+sales@example.com")])
        store.add_alias(ALL, [SALES, BOB])
        store.add_alias(Mailbox("Everyone", "example.net"), [ALL])
        everyone = Mailbox("everyone", "example.net")
        assert known(store, "ann@example.com").addresses == {ANN, SALES, ALL, everyone}
        assert known(store, "bob@example.com").addresses == {BOB, ALL, everyone}

    # passwords

    def test_a_changed_password_is_a_new_credential(self, store: AccountStore) -> None:
        store.add(ANN, "old")
        (old,) = store.credentials("ann@example.com")
        store.set_password("ann@example.com", "new")
        (new,) = store.credentials("ann@example.com")
        assert (new.hash, new.kind, new.name) == ("new", CredentialKind.ACCOUNT, "")
        assert not store.is_valid(old.id)
        assert store.is_valid(new.id)

    def test_submission_passwords_are_named_and_revoked_one_by_one(
        self, store: AccountStore
    ) -> None:
        store.add(ANN, "own")
        phone = store.add_submission_password("ann@example.com", "phone", "1")
        desk = store.add_submission_password("ann@example.com", "desk", "2")
        assert [it.name for it in store.credentials("ann@example.com")] == ["", "desk", "phone"]
        store.revoke("ann@example.com", "phone")
        assert not store.is_valid(phone.id)
        assert store.is_valid(desk.id)
        with pytest.raises(UnknownCredentialError):
            store.revoke("ann@example.com", "phone")

    @pytest.mark.parametrize("label", ["", "  ", "a\nb", "phone"])
    def test_a_submission_password_needs_a_name_of_its_own(
        self, store: AccountStore, label: str
    ) -> None:
        store.add(ANN, "own")
        store.add_submission_password("ann@example.com", "phone", "1")
        with pytest.raises(AccountError):
            store.add_submission_password("ann@example.com", label, "2")

    def test_the_own_password_cannot_be_revoked(self, store: AccountStore) -> None:
        store.add(ANN, "own")
        with pytest.raises(UnknownCredentialError):
            store.revoke("ann@example.com", "")

    def test_the_last_use_is_kept(self, store: AccountStore) -> None:
        store.add(ANN, "own")
        (credential,) = store.credentials("ann@example.com")
        assert credential.last_used is None
        store.note_used(credential.id, NOON + timedelta(minutes=2))
        (credential,) = store.credentials("ann@example.com")
        assert credential.last_used == NOON + timedelta(minutes=2)

    def test_a_password_can_be_kept_in_another_form(self, store: AccountStore) -> None:
        store.add(ANN, "{SSHA}old")
        (before,) = store.credentials("ann")
        assert before.scram == ""
        store.rehash(before.id, "new", scram="secret")
        (after,) = store.credentials("ann")
        assert (after.id, after.hash, after.scram) == (before.id, "new", "secret")
        assert store.is_valid(before.id), "it is the same password"
        with pytest.raises(UnknownCredentialError):
            store.rehash(before.id + 99, "new", scram="")

    def test_what_scram_needs_is_kept_with_each_password(self, store: AccountStore) -> None:
        assert store.all_know_scram()
        store.add(ANN, "hash", scram="first")
        assert store.all_know_scram()
        store.add(BOB, "hash")
        assert not store.all_know_scram()
        store.disable("bob")
        assert store.all_know_scram()
        store.set_password("ann", "hash", scram="second")
        store.add_submission_password("ann", "phone", "hash", scram="third")
        assert [it.scram for it in store.credentials("ann")] == ["second", "third"]
        store.set_password("ann", "{SCRAM-SHA-256}4096,a,b,c")
        assert store.all_know_scram()
        assert store.salt_key() == store.salt_key()
        assert len(store.salt_key()) >= 16

    # grants

    def test_networks_are_granted_and_taken_back(self, store: AccountStore) -> None:
        until = NOON + timedelta(hours=8)
        grant = store.add_grant(
            "192.0.2.7, 2001:db8::/48, 198.51.100.1-198.51.100.9",
            name="fair",
            until=until,
            because="ticket 4711",
            by="root",
        )
        assert store.grants() == (grant,)
        assert grant.networks == ("192.0.2.7", "2001:db8::/48", "198.51.100.1-198.51.100.9")
        assert not grant.ended(until - timedelta(seconds=1))
        assert grant.ended(until)
        store.remove_grant(grant.id)
        assert store.grants() == ()
        with pytest.raises(GrantError):
            store.remove_grant(grant.id)

    @pytest.mark.parametrize(
        "networks",
        ["", "nonsense", "192.0.2.1/24", "0.0.0.0/0", "128.0.0.0/1", "::/0", "10.0.0.0/8"],
    )
    def test_what_is_no_network_or_too_wide_is_not_granted(
        self, store: AccountStore, networks: str
    ) -> None:
        with pytest.raises(GrantError):
            store.add_grant(networks, name="x", until=None, because="", by="root")
        assert store.grants() == ()

    def test_a_wide_network_needs_a_reason(self, store: AccountStore) -> None:
        store.add_grant("10.0.0.0/8", name="", until=None, because="our own", by="root")
        assert store.grants()[0].name == "10.0.0.0/8"

    def test_grants_are_not_everybody_together(self, store: AccountStore) -> None:
        store.add_grant("11.0.0.0/9", name="", until=None, because="half of a /8", by="me")
        store.add_grant("11.128.0.0/9", name="", until=None, because="the other half", by="me")
        with pytest.raises(GrantError, match="everybody"):
            store.add_grant("192.0.2.7", name="", until=None, because="", by="me")

    def test_a_grant_cannot_end_in_the_past(self, store: AccountStore) -> None:
        with pytest.raises(GrantError, match="past"):
            store.add_grant("192.0.2.7", name="", until=NOON, because="", by="root")
