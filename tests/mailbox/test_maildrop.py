import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mailbox import maildir
from posthouse.mailbox.listing import UID_OCTETS_MAX, Listings, unique_ids
from posthouse.mailbox.maildir import Entry, MaildirError
from posthouse.mailbox.maildrop import (
    AHEAD_OCTETS_MAX,
    AT_ONCE_OCTETS_MAX,
    MaildropInUseError,
    open_listed,
    open_maildrop,
)


def later() -> int:
    """A clock that is ahead: whatever is in a directory has been there for a while."""
    return time.time_ns() + 60_000_000_000


def deliver(directory: Path, *texts: str) -> None:
    for text in texts:
        maildir.deliver(directory, [text.encode() + b"\r\n"], id="t")


def test_messages_are_numbered_from_one_in_the_order_they_came(tmp_path: Path) -> None:
    deliver(tmp_path, "first", "second")
    drop = open_maildrop(tmp_path)
    assert list(drop.numbers()) == [1, 2]
    assert b"".join(drop.read(2)) == b"second\r\n"
    assert (drop.count, drop.octets) == (2, 15)
    drop.close()


def test_a_second_session_has_to_wait_for_the_first(tmp_path: Path) -> None:
    first = open_maildrop(tmp_path)
    with pytest.raises(MaildropInUseError):
        open_maildrop(tmp_path)
    first.close()
    first.close()
    open_maildrop(tmp_path).close()


def test_nothing_is_removed_before_it_is_asked_for(tmp_path: Path) -> None:
    deliver(tmp_path, "a", "b", "c")
    drop = open_maildrop(tmp_path)
    drop.mark(2)
    drop.mark(2)
    assert (drop.count, drop.octets, list(drop.numbers())) == (2, 6, [1, 3])
    assert len(maildir.entries(tmp_path)) == 3
    assert drop.remove_marked() == 0
    drop.close()
    assert len(maildir.entries(tmp_path)) == 2


def test_marks_can_be_forgotten(tmp_path: Path) -> None:
    deliver(tmp_path, "a", "b")
    drop = open_maildrop(tmp_path)
    drop.mark(1)
    drop.unmark_all()
    assert (drop.count, drop.octets) == (2, 6)
    assert not drop.is_marked(1)
    assert drop.remove_marked() == 0
    drop.close()
    assert len(maildir.entries(tmp_path)) == 2


def test_unique_ids_stay_the_same_when_another_program_reads_the_mail(tmp_path: Path) -> None:
    deliver(tmp_path, "a", "b")
    drop = open_maildrop(tmp_path)
    before = [drop.uid(1), drop.uid(2)]
    drop.close()
    for name in os.listdir(tmp_path / "new"):
        (tmp_path / "new" / name).rename(tmp_path / "cur" / f"{name}:2,RS")
    drop = open_maildrop(tmp_path)
    assert [drop.uid(1), drop.uid(2)] == before
    drop.close()


def test_our_own_names_are_unique_ids_as_they_are(tmp_path: Path) -> None:
    name = maildir.deliver(tmp_path, [b"x\r\n"], id="k7q2abcd")
    (entry,) = maildir.entries(tmp_path)
    assert unique_ids([entry]) == [name.partition(",")[0]]


NAMES = st.text(st.sampled_from("ab ,:é\udc80~"), min_size=1, max_size=90)


@given(st.lists(NAMES, max_size=8, unique_by=lambda name: name.partition(":")[0]))
def test_unique_ids_are_unique_and_may_stand_in_a_reply(names: list[str]) -> None:
    uids = unique_ids([Entry(name, "new", 1) for name in names])
    assert len(set(uids)) == len(names)
    for uid in uids:
        assert 1 <= len(uid) <= UID_OCTETS_MAX
        assert all("\x21" <= character <= "\x7e" for character in uid)


def test_a_mailbox_that_cannot_be_used_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "ann").write_bytes(b"")
    with pytest.raises(MaildirError, match="mailbox"):
        open_maildrop(tmp_path / "ann")


def test_a_lock_file_that_cannot_be_opened_is_an_error_in_words(tmp_path: Path) -> None:
    maildir.create(tmp_path)
    (tmp_path / "posthouse-pop3.lock").mkdir()
    with pytest.raises(MaildirError, match="cannot lock"):
        open_maildrop(tmp_path)


def test_a_hundred_thousand_names_are_counted_without_opening_a_file(tmp_path: Path) -> None:
    maildir.create(tmp_path)
    for number in range(2000):  # dangling in content: a size that only the name knows
        (tmp_path / "new" / f"{1000 + number}.M1P1Q{number}.host,S=1,W=1000").touch()
    drop = open_maildrop(tmp_path)
    assert (drop.count, drop.octets) == (2000, 2_000_000)
    drop.close()


def test_a_message_that_cannot_be_removed_is_counted(tmp_path: Path) -> None:
    deliver(tmp_path, "a")
    drop = open_maildrop(tmp_path)
    (name,) = os.listdir(tmp_path / "new")
    (tmp_path / "new" / name).unlink()
    (tmp_path / "new" / name).mkdir()
    drop.mark(1)
    assert drop.remove_marked() == 1
    drop.close()


@pytest.fixture
def network_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot say what it has in memory."""
    monkeypatch.setattr(maildir, "answers_from_memory", lambda _: False)


@pytest.mark.usefixtures("network_disk")
def test_messages_behind_are_read_ahead_and_given_once(tmp_path: Path) -> None:
    deliver(tmp_path, "a", "b", "c", "d")
    drop = open_maildrop(tmp_path)
    drop.mark(3)
    drop.read_ahead(1)
    assert drop.ready(2) == b"".join(drop.read(2))
    assert drop.ready(2) is None
    assert drop.ready(3) is None
    assert drop.ready(4) == b"".join(drop.read(4))
    drop.close()


@pytest.mark.usefixtures("network_disk")
def test_no_more_is_read_ahead_than_there_is_room_for(tmp_path: Path) -> None:
    deliver(tmp_path, "a", "b" * (AHEAD_OCTETS_MAX - 10), "c" * 20, "d")
    drop = open_maildrop(tmp_path)
    drop.read_ahead(1)
    assert drop.ready(2) is not None
    assert drop.ready(3) is None
    assert drop.ready(4) is None
    drop.close()


def test_what_the_system_has_in_memory_needs_no_thread(tmp_path: Path) -> None:
    deliver(tmp_path, "a", "b" * AT_ONCE_OCTETS_MAX)
    drop = open_maildrop(tmp_path)
    assert drop.ready(1) == b"a\n"
    assert drop.ready(2) is None
    assert drop.ends_at_once
    drop.close()


def test_removing_needs_a_thread(tmp_path: Path) -> None:
    deliver(tmp_path, "a")
    drop = open_maildrop(tmp_path)
    drop.mark(1)
    assert not drop.ends_at_once
    drop.close()


def test_a_message_that_is_gone_is_not_ready(tmp_path: Path) -> None:
    deliver(tmp_path, "a")
    drop = open_maildrop(tmp_path)
    (path,) = (tmp_path / "new").iterdir()
    path.unlink()
    assert drop.ready(1) is None
    drop.close()


def test_a_message_that_is_longer_than_its_name_tells_is_not_ready(tmp_path: Path) -> None:
    maildir.create(tmp_path)
    (tmp_path / "new" / "1.a.host,S=2,W=3").write_bytes(b"longer\n")
    drop = open_maildrop(tmp_path)
    assert drop.ready(1) is None
    drop.close()


@pytest.mark.usefixtures("network_disk")
def test_without_a_word_about_memory_everything_needs_a_thread(tmp_path: Path) -> None:
    deliver(tmp_path, "a")
    listings = Listings(clock=later)
    drop = open_maildrop(tmp_path, listings)
    assert drop.ready(1) is None
    assert not drop.ends_at_once
    drop.close()
    assert open_listed(tmp_path, listings) is None


def test_a_system_that_cannot_say_what_it_has_in_memory_serves_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maildir, "NOWAIT", 0)  # as where Python has no RWF_NOWAIT
    deliver(tmp_path, "first")
    drop = open_maildrop(tmp_path, Listings())
    assert drop.ready(1) is None
    assert b"".join(drop.read(1)) == b"first\r\n"
    drop.close()


def test_a_maildrop_that_did_not_change_opens_without_a_thread(tmp_path: Path) -> None:
    deliver(tmp_path, "a", "b")
    listings = Listings(clock=later)
    assert open_listed(tmp_path, listings) is None
    first = open_maildrop(tmp_path, listings)
    with pytest.raises(MaildropInUseError):
        open_listed(tmp_path, listings)
    first.close()
    again = open_listed(tmp_path, listings)
    assert again is not None
    assert (again.count, again.octets) == (first.count, first.octets)
    assert [again.uid(n) for n in again.numbers()] == [first.uid(n) for n in first.numbers()]
    again.close()


def test_a_maildrop_that_is_gone_is_not_opened_from_memory(tmp_path: Path) -> None:
    deliver(tmp_path / "ann", "a")
    listings = Listings(clock=later)
    open_maildrop(tmp_path / "ann", listings).close()
    shutil.rmtree(tmp_path / "ann")
    assert open_listed(tmp_path / "ann", listings) is None
    drop = open_maildrop(tmp_path / "ann", listings)
    assert drop.count == 0
    drop.close()


def test_a_message_that_is_gone_is_not_read_ahead(tmp_path: Path) -> None:
    deliver(tmp_path, "a", "b")
    drop = open_maildrop(tmp_path)
    for path in [*(tmp_path / "new").iterdir(), *(tmp_path / "cur").iterdir()]:
        path.unlink()
    drop.read_ahead(1)
    assert drop.ready(2) is None
    drop.close()
