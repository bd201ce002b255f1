import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import NULL, ReversePath, parse_mailbox
from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.facts import Account, Client, Request, SignIn
from posthouse.policy.reasons import Reason
from posthouse.telemetry import case_file, cases
from posthouse.telemetry.asked import asked_of
from posthouse.telemetry.case import decode, encode, fresh_id, id_as_meant
from posthouse.telemetry.cases import Case, CaseReader, CaseStore, Search, StoreError, case_of
from posthouse.telemetry.repeats import FULL_PER_MINUTE, KINDS_MAX, Repeats

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ANN = Account("ann@example.com", frozenset())


def a_case(case_id: str, minute: float = 0, **fields: str) -> Case:
    case = Case(
        case_id,
        NOON + timedelta(minutes=minute),
        Stage.RECIPIENT,
        Verdict.REFUSE,
        Reason.NOT_RECOGNISED,
        client="192.0.2.7",
        reverse_path="ann@example.com",
        forward_path="Eve@far.example",
        trace=(Step("recipient is local", False, "domain far.example", "posthouse.toml:3"),),
    )
    return msgspec.structs.replace(case, **fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cases.db"


@pytest.fixture
def store(path: Path) -> Iterator[CaseStore]:
    store = CaseStore(path, now=lambda: NOON)
    yield store
    store.close()


def test_an_id_is_eight_characters_that_cannot_be_confused() -> None:
    ids = {fresh_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(it) == 8 and not set(it) & set("ILOU") and it.isalnum() for it in ids)
    assert id_as_meant(" o1i-l9zt ") == "01119ZT"


def test_a_case_is_found_at_once_and_after_a_restart(store: CaseStore, path: Path) -> None:
    case = a_case(store.new_id())
    store.record(case)
    assert store.find(case.id) == case
    assert store.find(case.id.lower()) == case
    store.flush()
    assert store.find(case.id) == case
    reader = CaseReader(path)
    assert reader.find(case.id) == case
    assert reader.find("00000000") is None
    assert reader.find("\ud800") is None
    reader.close()


def test_a_case_is_made_of_a_decision_and_what_it_was_about() -> None:
    request = Request(
        NOON,
        Client(ip_address("192.0.2.7"), "mx", tls=True, hello="pc", signed_in=SignIn(ANN)),
        reverse_path=ReversePath(parse_mailbox("Ann@example.com")),
        forward_path=parse_mailbox("eve@far.example"),
    )
    step = Step("sender is own", False, "ann")
    decision = Decision(
        Stage.RECIPIENT, Verdict.REFUSE, Reason.SENDER_NOT_OWN, (step,), ("x@y",), 5, "From"
    )
    case = case_of("K3M9ZT2Q", request, decision, reply="550", would_help=["sign in"])
    assert case == Case(
        "K3M9ZT2Q",
        NOON,
        Stage.RECIPIENT,
        Verdict.REFUSE,
        Reason.SENDER_NOT_OWN,
        reply="550",
        client="192.0.2.7",
        listener="mx",
        tls=True,
        hello="pc",
        account="ann@example.com",
        reverse_path="Ann@example.com",
        forward_path="eve@far.example",
        trace=(step,),
        would_help=("sign in",),
        field="From",
        allowed=("x@y",),
        minutes_ago=5,
        asked=asked_of(request),
    )
    bare = case_of("1", Request(NOON, Client(ip_address("::1"), "mx")), decision)
    assert (bare.account, bare.reverse_path, bare.forward_path) == ("", "", "")
    null = Request(NOON, Client(ip_address("::1"), "mx"), reverse_path=NULL)
    assert case_of("1", null, decision).reverse_path == "<>"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_of_any_kind_is_kept(text: str) -> None:
    case = a_case("1", hello=text, account=text)
    assert decode(encode(case)) == case


def test_unpaired_surrogates_are_kept_as_escapes(store: CaseStore) -> None:
    store.record(a_case("AAAAAAAA", hello="\ud800", forward_path="\udc80@far.example"))
    store.flush()
    found = store.find("AAAAAAAA")
    assert found is not None
    assert found.hello == "\\ud800"
    assert store.problem == ""


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Search(), "54321"),
        (Search(limit=2), "54"),
        (Search(person="ann@example.com"), "4321"),
        (Search(person="ANN"), "4321"),
        (Search(person="an"), ""),
        (Search(person="eve"), "5421"),
        (Search(address="eve@far.example"), "5421"),
        (Search(address="EVE@FAR.example", client="192.0.2.8"), "2"),
        (Search(address="@far.example"), "54321"),
        (Search(address="@ar.example"), ""),
        (Search(client="192.0.2.7"), "5431"),
        (Search(client="192.0.2.0/29"), "5431"),
        (Search(client="192.0.2.8-192.0.2.9"), "2"),
        (Search(client="192.0.2.0/24", limit=1), "5"),
        (Search(client="0.0.0.0/0"), "54321"),
        (Search(client="not/a network"), ""),
        (Search(reason="sender-not-own"), "4"),
        (Search(since=NOON + timedelta(minutes=3)), "543"),
        (Search(until=NOON + timedelta(minutes=3)), "21"),
        (Search(person="\ud800", client="\ud800", reason="\ud800"), ""),
        (Search(person="' OR 1=1 --", reason="x' OR '1"), ""),
    ],
)
def test_cases_are_searched(store: CaseStore, wanted: Search, ids: str) -> None:
    store.record(a_case("1", 1))
    store.record(a_case("2", 2, client="192.0.2.8"))
    store.record(a_case("3", 3, forward_path="bob@far.example"))
    store.record(a_case("4", 4, reason=Reason.SENDER_NOT_OWN))
    store.record(a_case("5", 5, reverse_path="<>"))
    assert "".join(case.id for case in store.search(wanted)) == ids


def test_another_process_follows_what_is_recorded(store: CaseStore, path: Path) -> None:
    reader = CaseReader(path)
    assert reader.newest() == 0
    store.record(a_case("1"))
    store.record(a_case("2"))
    store.flush()
    (number, first), (last, second) = reader.tail(0)
    assert (first.id, second.id) == ("1", "2")
    assert reader.tail(number) == store.tail(number) == ((last, second),)
    assert reader.tail(last) == ()
    assert reader.newest() == store.newest() == last
    reader.close()


def test_refusals_by_the_thousand_are_counted(store: CaseStore, path: Path) -> None:
    ids = []
    for _ in range(1000):
        ids.append(store.new_id("192.0.2.7", "not-recognised"))
        store.record(a_case(ids[-1]))
    assert len(set(ids)) == FULL_PER_MINUTE
    assert set(ids[FULL_PER_MINUTE:]) == {ids[FULL_PER_MINUTE - 1]}
    standing = store.find(ids[-1])
    assert standing is not None
    assert (standing.repeats, standing.last_at) == (1000 - FULL_PER_MINUTE, NOON)
    store.flush()
    assert store.find(ids[-1]) == standing
    assert len(store.search(Search(limit=1000))) == FULL_PER_MINUTE
    assert store.new_id("192.0.2.8", "not-recognised") not in ids
    assert store.new_id("192.0.2.7", "sender-not-own") not in ids
    assert store.new_id() not in ids


def test_after_a_minute_cases_are_full_again() -> None:
    repeats = Repeats()
    for number in range(FULL_PER_MINUTE):
        assert not repeats.standing_for("c", "r", NOON)
        assert not repeats.is_repeat("c", "r", str(number), NOON)
    assert repeats.standing_for("c", "r", NOON) == str(FULL_PER_MINUTE - 1)
    later = NOON + timedelta(minutes=1)
    assert not repeats.standing_for("c", "r", later)
    assert not repeats.is_repeat("c", "r", "new", later)
    for number in range(KINDS_MAX + 5):
        repeats.is_repeat(str(number), "r", "id", NOON)
    assert len(repeats._kinds) == KINDS_MAX


def test_old_cases_are_forgotten(store: CaseStore) -> None:
    store.record(a_case("01D00000", -60 * 24 * 91))
    store.record(a_case("NEW00000", -60 * 24 * 89))
    store.flush()
    store.prune()
    assert store.find("01D00000") is None
    assert store.find("NEW00000") is not None
    assert store.prune(timedelta(days=1)) == 1


def test_the_file_stays_in_its_size(
    store: CaseStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "PRUNED_AT_ONCE", 100)
    for number in range(2000):
        store.record(a_case(f"{number:08}", hello="x" * 500))
    store.flush()
    store.octets_max = 500_000
    store.prune()
    assert case_file.octets_used(store._connection) <= 500_000
    assert store.find("00000000") is None
    assert store.find("00001999") is not None


def test_recording_never_waits_and_what_is_lost_is_counted(
    store: CaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "PENDING_MAX", 10)
    with store._connection_lock:  # the disk stands still
        for number in range(100):
            store.record(a_case(f"{number:08}"))
    assert store.dropped >= 80


def test_a_disk_that_fails_is_told_and_mail_goes_on(store: CaseStore) -> None:
    store._connection.execute("PRAGMA query_only = ON")
    store.record(a_case("LOST0000"))
    store.flush()
    assert store.dropped == 1
    assert "may this user write it" in store.problem
    store._connection.execute("PRAGMA query_only = OFF")
    store.record(a_case("KEPT0000"))
    store.flush()
    assert store.problem == ""
    assert store.find("KEPT0000") is not None


def test_cases_recorded_from_many_threads_are_all_there(store: CaseStore) -> None:
    def record(start: int) -> None:
        for number in range(start, start + 200):
            store.record(a_case(f"{number:08}", client=str(number)))

    threads = [threading.Thread(target=record, args=(start,)) for start in range(0, 1000, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.search(Search(limit=2000))) == 1000


def test_what_waits_is_written_at_the_end(path: Path) -> None:
    store = CaseStore(path, now=lambda: NOON)
    store.record(a_case("KEPT0000"))
    store.close()
    reader = CaseReader(path)
    assert reader.find("KEPT0000") is not None
    reader.close()


def test_a_broken_file_is_told_with_the_way_out(path: Path) -> None:
    path.write_bytes(b"garbage " * 1000)
    for open_it in (CaseStore, CaseReader):
        with pytest.raises(StoreError, match="only old explanations are lost"):
            open_it(path)


def test_a_case_that_makes_no_sense_is_told(store: CaseStore, path: Path) -> None:
    store.record(a_case("DAMAGED0"))
    store.flush()
    store._connection.execute("UPDATE cases SET detail = x'7b7d'")
    with pytest.raises(StoreError, match="is damaged"):
        store.find("DAMAGED0")


def test_a_reader_needs_a_file(path: Path) -> None:
    with pytest.raises(StoreError, match="is not there"):
        CaseReader(path)
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(StoreError, match="something else"):
        CaseReader(path)
