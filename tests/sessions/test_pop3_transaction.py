"""Any sequence of commands on a real maildrop, compared with a simple model of RFC 1939."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from posthouse.mailbox import maildir
from posthouse.mailbox.maildrop import Maildrop, open_maildrop
from posthouse.protocol.framing import with_crlf
from posthouse.protocol.pop3.content import top
from posthouse.protocol.pop3.events import (
    DeletionRequested,
    Event,
    MessageRequested,
    NoopReceived,
    QuitReceived,
    ResetReceived,
    SizesRequested,
    StatusRequested,
    UniqueIdsRequested,
)
from posthouse.sessions.pop3_transaction import (
    LongAnswer,
    Message,
    answer,
    gather,
    remove_and_close,
)

NUMBERS = st.integers(0, 5)
TEXTS = st.lists(st.sampled_from(["", ".", "a: b", "..c"]), min_size=1, max_size=5)


def said(maildrop: Maildrop, event: Event) -> tuple[bool, str, bytes]:
    """Whether it is positive, the status text, and the content."""
    it = answer(maildrop, event)
    if isinstance(it, Message):
        return it.opening.is_positive, it.opening.text, with_crlf(it.octets)
    if isinstance(it, LongAnswer):
        gathered = gather(it)
        assert not isinstance(gathered, maildir.MaildirError)
        assert gathered.is_last
        return it.opening.is_positive, it.opening.text, gathered.octets
    return it.is_positive, it.text, b""


class Sessions(RuleBasedStateMachine):
    """One person, one session after the other, mail arriving meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.kept: list[bytes] = []  # what the mailbox holds
        self.listed: list[bytes] = []  # what this session numbered
        self.marked: set[int] = set()
        self.uids: dict[bytes, str] = {}
        self.serial = 0

    @initialize()
    def begin(self) -> None:
        self.maildrop = open_maildrop(self.directory)
        self.listed, self.marked = list(self.kept), set()

    def teardown(self) -> None:
        self.maildrop.close()
        shutil.rmtree(self.directory)

    def is_there(self, number: int) -> bool:
        return 1 <= number <= len(self.listed) and number not in self.marked

    @rule(lines=TEXTS)
    def mail_arrives(self, lines: list[str]) -> None:
        self.serial += 1
        message = f"N: {self.serial}\r\n".encode()
        message += b"".join(f"{line}\r\n".encode() for line in lines)
        maildir.deliver(self.directory, [message], id=str(self.serial))
        self.kept.append(message)

    @rule()
    def another_program_looks_at_new_mail(self) -> None:
        for path in (self.directory / "new").iterdir():
            path.rename(self.directory / "cur" / f"{path.name}:2,")

    @rule()
    def quits_and_comes_again(self) -> None:
        assert remove_and_close(self.maildrop) == 0
        gone = [self.listed[number - 1] for number in self.marked]
        self.kept = [message for message in self.kept if message not in gone]
        self.begin()

    @rule()
    def loses_the_connection_and_comes_again(self) -> None:
        self.maildrop.close()
        self.begin()

    @rule(number=NUMBERS)
    def deletes(self, number: int) -> None:
        positive, _, _ = said(self.maildrop, DeletionRequested(number))
        assert positive is self.is_there(number)
        if positive:
            self.marked.add(number)

    @rule()
    def resets(self) -> None:
        assert said(self.maildrop, ResetReceived())[0]
        self.marked.clear()

    @rule(number=NUMBERS)
    def retrieves(self, number: int) -> None:
        if self.is_there(number):
            message = self.listed[number - 1]
            got = said(self.maildrop, MessageRequested(number))
            assert got == (True, f"{len(message)} octets", message)
            assert b"".join(self.maildrop.read(number)) == message
        else:
            assert not said(self.maildrop, MessageRequested(number))[0]

    @rule(number=NUMBERS, lines=st.integers(0, 4))
    def looks_at_the_top(self, number: int, lines: int) -> None:
        positive, _, content = said(self.maildrop, MessageRequested(number, lines))
        assert positive is self.is_there(number)
        if positive:
            head, gap, body = self.listed[number - 1].partition(b"\r\n\r\n")
            some = b"".join(body.splitlines(keepends=True)[:lines])
            assert content == head + gap + some
            blocks = self.maildrop.read(number)
            assert b"".join(top(blocks, lines)) == content

    @rule(number=NUMBERS)
    def asks_for_one_size_and_one_id(self, number: int) -> None:
        size = said(self.maildrop, SizesRequested(number))
        uid = said(self.maildrop, UniqueIdsRequested(number))
        assert size[0] is uid[0] is self.is_there(number)
        if size[0]:
            message = self.listed[number - 1]
            assert size[1] == f"{number} {len(message)}"
            assert uid[1] == f"{number} {self.uids.setdefault(message, uid[1].split()[1])}"

    @invariant()
    def counts_and_lists_agree(self) -> None:
        if not hasattr(self, "maildrop"):
            return
        left = {n: m for n, m in enumerate(self.listed, 1) if n not in self.marked}
        total = sum(map(len, left.values()))
        assert said(self.maildrop, StatusRequested()) == (True, f"{len(left)} {total}", b"")
        _, _, sizes = said(self.maildrop, SizesRequested())
        assert sizes.decode().splitlines() == [f"{n} {len(m)}" for n, m in left.items()]
        _, _, uids = said(self.maildrop, UniqueIdsRequested())
        known = dict(line.split() for line in uids.decode().splitlines())
        assert [int(number) for number in known] == list(left)
        for number, uid in known.items():
            assert self.uids.setdefault(left[int(number)], uid) == uid


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_doing_nothing_is_ok(tmp_path: Path) -> None:
    maildrop = open_maildrop(tmp_path)
    assert said(maildrop, NoopReceived())[0]
    with pytest.raises(AssertionError):
        answer(maildrop, QuitReceived())
    maildrop.close()
