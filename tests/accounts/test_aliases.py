"""Where an address leads and what leads to an account are one graph, read both ways."""

from hypothesis import given
from hypothesis import strategies as st

from posthouse.accounts.store import AccountError
from posthouse.mail.address import Mailbox
from tests.accounts.memory import MemoryAccountStore

LOCAL_PARTS = ["a", "b", "c", "a+x", "b+y", "d", "E"]
places = st.builds(
    Mailbox, st.sampled_from(LOCAL_PARTS), st.sampled_from(["one.example", "two.example"])
)
graphs = st.dictionaries(places, st.lists(places, min_size=1, max_size=3), max_size=8)
catch_alls = st.dictionaries(st.sampled_from(["one.example", "two.example"]), places, max_size=2)


@given(st.lists(places, max_size=5), graphs, catch_alls)
def test_what_is_said_to_lead_to_an_account_does_and_nothing_else(
    accounts: list[Mailbox],
    graph: dict[Mailbox, list[Mailbox]],
    catch_all: dict[str, Mailbox],
) -> None:
    store = MemoryAccountStore()
    for name in {account.folded for account in accounts}:
        store.add(name, "hash")
    for place, targets in graph.items():
        try:
            store.add_alias(place, targets)
        except AccountError:
            continue
    store.use_catch_all(catch_all)
    for record in store.list():
        account = store.find(record.name)
        assert account is not None
        own = {
            alias.address
            for alias in store.aliases()
            if record.name in store.resolve(alias.address, plus_tags=True).accounts
        }
        assert {str(it) for it in account.addresses} == {record.name, *map(str, own)}
