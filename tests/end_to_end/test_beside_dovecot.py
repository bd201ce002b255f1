"""Our POP3 and Dovecot's over one Maildir, command by command: to a mail program they are the same.

What may differ is listed, each with its reason.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from posthouse.mailbox import maildir
from tests.end_to_end.dovecot_pop3 import Dialogue, dovecot_pop3
from tests.end_to_end.receivers import NEEDS_DOVECOT_POP3
from tests.end_to_end.server import ANN, SIGNED_IN, configuration, running

pytestmark = [pytest.mark.peer, pytest.mark.slow, NEEDS_DOVECOT_POP3]
HEAD = "From: <x@adatum.com>\nSubject: {}\n"
# File name and what lies in it; S and W are put there where the name ends with a comma.
MESSAGES = {
    "new/1700000001.M1P1.host,": HEAD.format("plain") + "\nHello.\n",
    "new/1700000002.M1P1.host,": HEAD.format("dots") + "\n.\n..\n.x\n\n.\n",
    "new/1700000003.M1P1.host,": HEAD.format("no last newline") + "\nend",
    "new/1700000004.M1P1.host,": HEAD.format("no body"),
    "new/1700000005.M1P1.host,": HEAD.format("empty body") + "\n",
    "new/1700000006.M1P1.host": HEAD.format("no sizes in its name") + "\nHello.\n",
    "cur/1700000007.M1P1.host:2,S": HEAD.format("seen") + "\nHello.\n",
    "cur/1700000008.M1P1.host,": HEAD.format("gr\u00fc\u00dfe") + "\n\u4f60\u597d\n",
    "cur/1700000009.M1P1.host,": HEAD.format("long") + "\n" + "x" * 5000 + "\n" * 30,
    "cur/1700000010.M1P1.host,": HEAD.format("lines") + "\n" + "".join(f"{n}\n" for n in range(99)),
}
Servers = tuple[tuple[str, int], tuple[str, int]]
COUNT = len(MESSAGES)
NUMBERS = range(1, COUNT + 1)
SINGLE = [
    ["STAT", "NOOP", "noop", "Stat", "LIST 1", f"LIST {COUNT}", f"LIST {COUNT + 1}", "LIST 0",
     "LIST -1", "LIST x", "LIST 1 1", "LIST 99999999999999999999"],
    ["UIDL 0", "UIDL x", f"UIDL {COUNT + 1}", "RETR", "RETR 0", "RETR x", f"RETR {COUNT + 1}"],
    ["TOP", "TOP 1", "TOP 0 1", "TOP 1 -1", "TOP 1 x", f"TOP {COUNT + 1} 1", "STAT"],
    ["DELE", "DELE 0", "DELE x", f"DELE {COUNT + 1}", "DELE 2", "DELE 2", "RETR 2", "TOP 2 1",
     "LIST 2", "UIDL 2", "STAT", "RSET", "STAT", "LIST 2"],
    ["XYZZY", "USER ann", "PASS x", "STLS", "AUTH PLAIN", "APOP a b", "", "LAST", "NOOP x"],
]  # fmt: skip
MANY = ["LIST", "list", *(f"RETR {number}" for number in NUMBERS)] + [
    f"TOP {number} {lines}" for number in NUMBERS for lines in (0, 1, 3, 1000)
]
# Command: why the two may differ in +OK or -ERR.
MAY_DIFFER = {"NOOP x": "RFC 1939 section 5 gives NOOP no arguments; Dovecot does not look"}


def fill(directory: Path) -> None:
    maildir.create(directory)
    for name, text in MESSAGES.items():
        octets = text.encode()
        sizes = f"S={len(octets)},W={len(octets) + text.count(chr(10))}"
        (directory / (name + sizes if name.endswith(",") else name)).write_bytes(octets)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    text = configuration(SIGNED_IN).replace(
        '[listen.pop3]\nservice = "pop3"', '[listen.pop3]\nservice = "pop3"\ntls = "offered"'
    )
    root = tmp_path_factory.mktemp("beside")
    directory = root / "storage" / "mail" / "proseware.com" / "ann"
    with running(root, text, ANN) as server:
        fill(directory)
        with dovecot_pop3(directory, ANN.password) as other:
            yield server.place("pop3"), other


@contextmanager
def dialogues(both: Servers) -> Iterator[tuple[Dialogue, Dialogue]]:
    """Sessions with ours and theirs, signed in, and ended by QUIT."""
    with closing(Dialogue(both[0])) as ours, closing(Dialogue(both[1])) as theirs:
        for it in (ours, theirs):
            it.sign_in(ANN)
        yield ours, theirs
        for it in (ours, theirs):
            assert it.ask("QUIT").good


@pytest.mark.parametrize("commands", SINGLE, ids=lambda it: it[0])
def test_every_command_is_answered_as_dovecot_answers_it(
    both: Servers, commands: list[str]
) -> None:
    differ = []
    with dialogues(both) as (ours, theirs):
        for command in commands:
            a, b = ours.ask(command), theirs.ask(command)
            if a.good != b.good:
                differ.append((command, a, b))
            elif a.good and command.upper()[:4] in {"STAT", "LIST"}:
                assert a.words.split()[:2] == b.words.split()[:2], command
        for it in (ours, theirs):
            assert it.ask("RSET").good
    assert [it for it in differ if it[0] not in MAY_DIFFER] == []


def test_every_list_and_every_message_is_the_same_octet_by_octet(both: Servers) -> None:
    with dialogues(both) as (ours, theirs):
        for command in MANY:
            a, b = ours.ask(command, many=True), theirs.ask(command, many=True)
            assert a.good, command
            assert b.good, command
            assert a.lines == b.lines, command
        for it in (ours, theirs):
            answer = it.ask("UIDL", many=True)
            assert answer.lines is not None
            numbers, values = zip(*(line.split() for line in answer.lines), strict=True)
            assert [int(each) for each in numbers] == list(NUMBERS)
            assert len(set(values)) == COUNT
            assert all(1 <= len(each) <= 70 and each.isascii() for each in values)
            assert it.ask("UIDL 3").words.split() == ["3", values[2].decode()]


def test_we_can_do_all_that_dovecot_says_it_can(both: Servers) -> None:
    with dialogues(both) as sessions:
        ours, theirs = (set(it.ask("CAPA", many=True).lines or ()) for it in sessions)
    # Dovecot lists the command itself; RFC 2449 has no such capability.
    assert theirs - ours == {b"CAPA"}


def test_what_is_deleted_is_gone_the_next_time_and_unique_ids_stay(both: Servers) -> None:
    before = []
    with dialogues(both) as sessions:
        for it in sessions:
            before.append(it.ask("UIDL", many=True).lines or ())
            assert it.ask("DELE 1").good
            assert it.ask("DELE 3").good
            lines = it.ask("LIST", many=True).lines or ()
            assert [int(line.split()[0]) for line in lines] == [2, *range(4, COUNT + 1)]
    with dialogues(both) as sessions:
        for it, uids in zip(sessions, before, strict=True):
            after = it.ask("UIDL", many=True).lines or ()
            values = [line.split()[1] for line in after]
            assert values == [line.split()[1] for line in uids if line[:2] not in {b"1 ", b"3 "}]
        ours, theirs = (it.ask("LIST", many=True).lines for it in sessions)
        assert ours == theirs
