import mailbox as stdlib_mailbox
import os
import stat
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.mailbox import maildir
from posthouse.mailbox.maildir import Entry, MaildirError, MessageGoneError

MESSAGE = b"Subject: tea\r\n\r\nAt four.\r\n"


def put(directory: Path, name: str, octets: bytes, folder: str = "new") -> None:
    """Another program delivers."""
    maildir.create(directory)
    (directory / folder / name).write_bytes(octets)


def everything(directory: Path) -> list[bytes]:
    return [b"".join(maildir.read(directory, entry)) for entry in maildir.entries(directory)]


def test_what_was_delivered_is_read_again(tmp_path: Path) -> None:
    maildir.deliver(tmp_path / "ann", [MESSAGE], id="k7q2", prepend=b"Return-Path: <>\r\n")
    assert everything(tmp_path / "ann") == [b"Return-Path: <>\r\n" + MESSAGE]


def test_lines_end_with_lf_in_the_file_and_both_sizes_stand_in_its_name(tmp_path: Path) -> None:
    name = maildir.deliver(tmp_path, [MESSAGE], id="k7q2")
    assert (tmp_path / "new" / name).read_bytes() == MESSAGE.replace(b"\r\n", b"\n")
    assert name.endswith(f",S={len(MESSAGE) - 3},W={len(MESSAGE)}")
    assert maildir.entries(tmp_path)[0].octets == len(MESSAGE)


def test_nobody_else_may_read_the_mailbox(tmp_path: Path) -> None:
    name = maildir.deliver(tmp_path / "domain" / "ann", [MESSAGE], id="k7q2")
    for path in ("domain", "domain/ann", "domain/ann/new", "domain/ann/cur", "domain/ann/tmp"):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "domain/ann/new" / name).stat().st_mode) == 0o600


def test_names_never_repeat_and_come_in_the_order_of_delivery(tmp_path: Path) -> None:
    names = [maildir.deliver(tmp_path, [b"%d\r\n" % n], id="same") for n in range(30)]
    assert len(set(names)) == 30
    assert [entry.name for entry in maildir.entries(tmp_path)] == names


def test_another_program_can_read_the_mailbox(tmp_path: Path) -> None:
    maildir.deliver(tmp_path, [MESSAGE], id="k7q2")
    box = stdlib_mailbox.Maildir(tmp_path, create=False)
    assert [message["subject"] for message in box] == ["tea"]


def test_a_file_without_sizes_is_measured(tmp_path: Path) -> None:
    put(tmp_path, "1.a.host", b"a\nb\r\nc")
    assert maildir.entries(tmp_path)[0].octets == len(b"a\r\nb\r\nc")
    assert everything(tmp_path) == [b"a\r\nb\r\nc"]


def test_a_file_without_sizes_that_another_took_the_place_of_is_measured_again(
    tmp_path: Path,
) -> None:
    maildir.create(tmp_path)
    place = tmp_path / "new" / "1700000000.1.host"
    for octets in (b"one\n", b"two\ntwo\n", b"a\r\nb\n", b"\r" * 65_535 + b"\r\nend"):
        place.unlink(missing_ok=True)
        place.write_bytes(octets)
        [entry] = maildir.entries(tmp_path)
        assert entry.octets == len(b"".join(maildir.read(tmp_path, entry)))
        assert maildir.entries(tmp_path) == [entry]


def test_what_is_no_message_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, ".hidden", b"x")
    (tmp_path / "new" / "directory").mkdir()
    (tmp_path / "secret").write_bytes(b"not mail")
    (tmp_path / "new" / "1.link.host").symlink_to(tmp_path / "secret")
    assert maildir.entries(tmp_path) == []


def test_a_link_that_comes_later_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "secret").write_bytes(b"not mail")
    (tmp_path / "new" / "1.link.host,W=3").symlink_to(tmp_path / "secret")
    with pytest.raises(MaildirError):
        list(maildir.read(tmp_path, Entry("1.link.host,W=3", "new", 3)))


def test_a_message_moved_to_cur_is_still_read_and_removed(tmp_path: Path) -> None:
    name = maildir.deliver(tmp_path, [MESSAGE], id="k7q2")
    (entry,) = maildir.entries(tmp_path)
    (tmp_path / "new" / name).rename(tmp_path / "cur" / f"{name}:2,S")
    assert b"".join(maildir.read(tmp_path, entry)) == MESSAGE
    assert maildir.remove(tmp_path, [entry]) == []
    assert maildir.entries(tmp_path) == []


def test_a_message_seen_in_both_folders_while_it_moves_is_one_message(tmp_path: Path) -> None:
    put(tmp_path, "1.a.host", b"x\n")
    put(tmp_path, "1.a.host:2,S", b"x\n", folder="cur")
    assert [entry.folder for entry in maildir.entries(tmp_path)] == ["cur"]


def test_a_message_that_vanished_is_gone_and_counts_as_removed(tmp_path: Path) -> None:
    name = maildir.deliver(tmp_path, [MESSAGE], id="k7q2")
    (entry,) = maildir.entries(tmp_path)
    (tmp_path / "new" / name).unlink()
    with pytest.raises(MessageGoneError):
        list(maildir.read(tmp_path, entry))
    assert maildir.remove(tmp_path, [entry]) == []


def test_a_mailbox_nobody_wrote_to_is_empty(tmp_path: Path) -> None:
    assert maildir.entries(tmp_path / "nobody") == []


def test_a_failed_delivery_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    def breaking() -> "list[bytes]":
        raise OSError(28, "No space left on device")

    with pytest.raises(MaildirError, match="no space left"):
        maildir.deliver(tmp_path, (breaking()[0] for _ in range(1)), id="k7q2")
    assert os.listdir(tmp_path / "tmp") == os.listdir(tmp_path / "new") == []


def test_a_file_in_the_place_of_the_mailbox_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "ann").write_bytes(b"")
    with pytest.raises(MaildirError, match="cannot make the mailbox"):
        maildir.deliver(tmp_path / "ann", [MESSAGE], id="k7q2")


def test_an_id_cannot_leave_the_mailbox(tmp_path: Path) -> None:
    name = maildir.deliver(tmp_path, [MESSAGE], id="../../x:,")
    assert "/" not in name
    assert ":" not in name


LINES = st.lists(st.sampled_from([b"", b".", b"a", b"..b"]), max_size=8)


@settings(max_examples=60)
@given(lines=LINES, cuts=st.sets(st.integers(1, 30)))
def test_any_cut_keeps_the_octets_and_the_size(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cuts: set[int]
) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    edges = [0, *sorted(cut for cut in cuts if cut < len(content)), len(content)]
    directory = tmp_path_factory.mktemp("box")
    blocks = [content[a:b] for a, b in pairwise(edges)]
    maildir.deliver(directory, blocks, id="k7q2")
    (entry,) = maildir.entries(directory)
    assert b"".join(maildir.read(directory, entry)) == content
    assert entry.octets == len(content)


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.sampled_from([b"\r", b"\n", b"x"]), max_size=6).map(b"".join), max_size=6)
)
def test_the_size_in_the_name_is_the_size_that_is_read_whatever_the_octets(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes]
) -> None:
    directory = tmp_path_factory.mktemp("box")
    maildir.deliver(directory, blocks, id="k7q2")
    (entry,) = maildir.entries(directory)
    assert entry.octets == len(b"".join(maildir.read(directory, entry)))


def test_a_large_message_is_kept_whole(tmp_path: Path) -> None:
    block = b"0123456789abcde\r\n" * 5000
    maildir.deliver(tmp_path, (block for _ in range(20)), id="large")
    (entry,) = maildir.entries(tmp_path)
    assert entry.octets == 20 * len(block)
    assert b"".join(maildir.read(tmp_path, entry)) == block * 20
