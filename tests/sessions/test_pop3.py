"""POP3 sessions on a loopback port: TLS, slow readers, lost connections, the end."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from posthouse.accounts.answers import Answer
from posthouse.mailbox import maildir
from posthouse.mailbox.listing import Listings, listed
from posthouse.mailbox.maildir import MaildirError
from posthouse.mailbox.maildrop import Maildrop, open_listed, open_maildrop
from posthouse.policy.facts import Client
from posthouse.sessions.pop3_service import TlsRule
from posthouse.telemetry.events import (
    Disconnected,
    MailFetched,
    SignedIn,
    SignInFailed,
    StoreFailed,
    TlsFailed,
    TlsStarted,
)
from posthouse.wire.stream import WRITE_OCTETS_HIGH
from tests.sessions.pop3_world import LIMITS, World, client_context, pop3_world

SIGN_IN = b"USER ann@example.com\r\nPASS secret\r\n"


class Person:
    """A mail program played by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def line(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), 5)

    async def ask(self, octets: bytes, lines: int = 1) -> list[bytes]:
        self.writer.write(octets)
        return [await self.line() for _ in range(lines)]

    def reset(self) -> None:
        """Break the connection: the server meets a reset, not an end."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def leave(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def person(world: World, tls: ssl.SSLContext | None = None, limit: int = 2**16) -> Person:
    it = Person(*await asyncio.open_connection("127.0.0.1", world.port, ssl=tls, limit=limit))
    assert (await it.line()).startswith(b"+OK mail.example.com")
    return it


def seen(world: World, kind: type) -> list[object]:
    return [event for event in world.events if isinstance(event, kind)]


async def test_the_account_is_noted_at_sign_in_and_with_later_commands(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        it = await person(world)
        await it.ask(SIGN_IN, 2)
        assert world.sign_ins == ["ann@example.com"]
        await it.ask(b"STAT\r\nNOOP\r\n", 2)
        assert world.sign_ins == ["ann@example.com"] * 2, "one of the same moment says it all"
        world.now += timedelta(seconds=1)
        await it.ask(b"NOOP\r\n", 1)
        assert world.sign_ins == ["ann@example.com"] * 3
        await it.leave()


async def test_a_failed_sign_in_is_not_noted_but_logged(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        it = await person(world)
        await it.ask(b"USER ann@example.com\r\nPASS wrong\r\nNOOP\r\n", 3)
        await it.leave()
        assert world.sign_ins == []
        assert [event.account for event in seen(world, SignInFailed)] == ["ann@example.com"]  # type: ignore[attr-defined]


async def test_a_failed_sign_in_is_told_with_its_client_and_logged_with_its_case(
    tmp_path: Path,
) -> None:
    told: list[tuple[str, str, str]] = []

    def note(name: str, client: Client, answer: Answer) -> str:
        told.append((name, str(client.address), type(answer).__name__))
        return "7Q4KX2MB"

    async with pop3_world(tmp_path) as world:
        world.service.note_failure = note
        it = await person(world)
        await it.ask(b"USER ann@example.com\r\nPASS wrong\r\nNOOP\r\n", 3)
        await it.leave()
        assert told == [("ann@example.com", "127.0.0.1", "Failed")]
        assert [event.case for event in seen(world, SignInFailed)] == ["7Q4KX2MB"]  # type: ignore[attr-defined]


async def test_what_happened_stands_in_the_log(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        world.put("1.a.host", "x\n")
        it = await person(world)
        await it.ask(SIGN_IN + b"RETR 1\r\nDELE 1\r\nQUIT\r\n", 7)
        await it.leave()
        await world.until(lambda: bool(seen(world, Disconnected)))
        (signed_in,) = seen(world, SignedIn)
        assert isinstance(signed_in, SignedIn)
        assert (signed_in.account, signed_in.mechanism) == ("ann@example.com", "USER")
        (fetched,) = seen(world, MailFetched)
        assert isinstance(fetched, MailFetched)
        assert (fetched.retrieved, fetched.deleted) == (1, 1)
        assert [event.why for event in seen(world, Disconnected)] == ["quit"]  # type: ignore[attr-defined]


async def test_stls_encrypts_and_forgets_what_was_said_before(tmp_path: Path) -> None:
    async with pop3_world(tmp_path, TlsRule.BEFORE_SIGN_IN) as world:
        it = await person(world)
        assert await it.ask(b"STLS\r\nUSER mallory\r\nNOOP\r\n") == [b"+OK Begin TLS\r\n"]
        await it.writer.start_tls(client_context(), server_hostname="localhost")
        assert (await it.ask(b"PASS secret\r\n")) == [b"-ERR PASS comes right after USER\r\n"]
        assert (await it.ask(b"STLS\r\n")) == [b"-ERR The connection is encrypted already\r\n"]
        assert (await it.ask(SIGN_IN, 2))[1].startswith(b"+OK 0 messages")
        await it.ask(b"QUIT\r\n")
        assert await it.line() == b""
        assert len(seen(world, TlsStarted)) == 1
        await it.leave()


async def test_tls_from_the_first_octet(tmp_path: Path) -> None:
    async with pop3_world(tmp_path, TlsRule.FROM_START) as world:
        it = await person(world, client_context())
        assert (await it.ask(SIGN_IN, 2))[1].startswith(b"+OK 0 messages")
        assert await it.ask(b"QUIT\r\n") == [b"+OK Bye\r\n"]
        await it.leave()


async def test_plain_text_where_tls_is_spoken_is_noted_and_ended(tmp_path: Path) -> None:
    async with pop3_world(tmp_path, TlsRule.FROM_START) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"USER ann@example.com\r\n")
        await asyncio.wait_for(reader.read(), 5)
        assert len(seen(world, TlsFailed)) == 1
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("rule", [TlsRule.OFFERED, TlsRule.FROM_START])
async def test_a_large_message_comes_whole(tmp_path: Path, rule: TlsRule) -> None:
    line = b".0123456789 of a line that begins with a dot\r\n"
    async with pop3_world(tmp_path, rule) as world:
        maildir.deliver(world.mailbox(), (line * 1000 for _ in range(100)), id="large")
        it = await person(world, client_context() if rule is TlsRule.FROM_START else None)
        await it.ask(SIGN_IN, 2)
        await it.ask(b"RETR 1\r\n")
        want = 100_000 * (len(line) + 1) + 3
        octets = await asyncio.wait_for(it.reader.readexactly(want), 20)
        assert octets == b".".join([b"", *[line] * 100_000]) + b".\r\n"
        assert await it.ask(b"QUIT\r\n") == [b"+OK Bye\r\n"]
        await it.leave()


@pytest.mark.parametrize("rule", [TlsRule.OFFERED, TlsRule.FROM_START])
async def test_a_reader_who_does_not_read_costs_little(tmp_path: Path, rule: TlsRule) -> None:
    async with pop3_world(tmp_path, rule) as world:
        maildir.deliver(world.mailbox(), (b"x" * 98 + b"\r\n" for _ in range(200_000)), id="large")
        tls = client_context() if rule is TlsRule.FROM_START else None
        it = await person(world, tls, limit=1024)
        await it.ask(SIGN_IN, 2)
        it.writer.write(b"RETR 1\r\nLIST\r\nRETR 1\r\n" + b"NOOP\r\n" * 20_000)
        session = world.only_session()
        await world.until(lambda: not session.can_write)
        await asyncio.sleep(0.1)
        transport = session._opened()
        assert transport.get_write_buffer_size() < 5 * WRITE_OCTETS_HIGH
        assert session._core.pending_octets < 600_000
        it.reset()
        await world.until(lambda: not world.service.sessions)
        await world.until(lambda: session._work is None)
        open_maildrop(world.mailbox()).close()


async def test_a_lost_connection_removes_nothing_and_frees_the_maildrop(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        world.put("1.a.host", "x\n")
        it = await person(world)
        await it.ask(SIGN_IN + b"DELE 1\r\n", 3)
        it.reset()
        await world.until(lambda: not world.service.sessions)
        assert world.names() == ["1.a.host"]
        open_maildrop(world.mailbox()).close()


async def test_a_connection_lost_while_the_password_is_checked_locks_nothing(
    tmp_path: Path,
) -> None:
    async with pop3_world(tmp_path) as world:
        world.passwords.gate = asyncio.Event()
        it = await person(world)
        it.writer.write(SIGN_IN)
        await world.until(lambda: bool(world.passwords.tried))
        session = world.only_session()
        it.reset()
        await world.until(lambda: not world.service.sessions)
        world.passwords.gate.set()
        await world.until(lambda: session._work is None)
        open_maildrop(world.mailbox()).close()


async def test_commands_sent_before_the_client_closed_its_side_are_answered(
    tmp_path: Path,
) -> None:
    async with pop3_world(tmp_path) as world:
        world.put("1.a.host", "x\n")
        it = await person(world)
        it.writer.write(SIGN_IN + b"DELE 1\r\nQUIT\r\n")
        it.writer.write_eof()
        said = await asyncio.wait_for(it.reader.read(), 5)
        assert said.endswith(b"+OK Bye\r\n")
        assert world.names() == []
        await it.leave()


async def test_stopping_lets_the_running_command_finish_and_removes_nothing(
    tmp_path: Path,
) -> None:
    async with pop3_world(tmp_path) as world:
        world.put("1.a.host", "x\n")
        world.passwords.gate = asyncio.Event()
        it, idle = await person(world), await person(world)
        it.writer.write(SIGN_IN + b"DELE 1\r\nQUIT\r\n")
        await world.until(lambda: bool(world.passwords.tried))
        for session in list(world.service.sessions):
            session.stop()
        assert (await idle.line()).startswith(b"-ERR [SYS/TEMP] The server is being restarted")
        world.passwords.gate.set()
        said = await asyncio.wait_for(it.reader.read(), 5)
        assert said.splitlines()[1].startswith(b"+OK 1 messages")
        assert said.splitlines()[2].startswith(b"-ERR [SYS/TEMP]")
        assert world.names() == ["1.a.host"]
        await it.leave()
        await idle.leave()


async def test_who_says_nothing_is_left_without_a_word(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(
        LIMITS,
        wait_before_sign_in=timedelta(seconds=0.05),
        idle_time=timedelta(seconds=0.05),
    )
    async with pop3_world(tmp_path, limits=limits) as world:
        world.put("1.a.host", "x\n")
        silent, signed_in = await person(world), await person(world)
        await signed_in.ask(SIGN_IN + b"DELE 1\r\n", 3)
        assert await silent.line() == b""
        assert await signed_in.line() == b""
        await silent.leave()
        await signed_in.leave()
        await world.until(lambda: len(seen(world, Disconnected)) == 2)
        assert {event.why for event in seen(world, Disconnected)} == {"timeout"}  # type: ignore[attr-defined]
        assert world.names() == ["1.a.host"]


@pytest.mark.parametrize("limit", ["sessions_max", "sessions_from_address_max"])
async def test_one_session_too_many_is_told_so(tmp_path: Path, limit: str) -> None:
    limits = msgspec.structs.replace(LIMITS, **{limit: 1})
    async with pop3_world(tmp_path, limits=limits) as world:
        it = await person(world)
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        said = await asyncio.wait_for(reader.read(), 5)
        assert said == b"-ERR [SYS/TEMP] Too many sessions; try later\r\n"
        writer.close()
        await writer.wait_closed()
        await it.leave()


async def test_a_broken_mailbox_is_told_to_the_operator_with_its_place(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        (tmp_path / "ann@example.com").write_bytes(b"")
        it = await person(world)
        await it.ask(SIGN_IN, 2)
        await it.leave()
        (failed,) = seen(world, StoreFailed)
        assert isinstance(failed, StoreFailed)
        assert (failed.store, str(tmp_path) in failed.problem) == ("mailbox", True)


async def test_unique_ids_stay_over_sessions(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        maildir.deliver(world.mailbox(), [b"x\r\n"], id="k7q2")
        lists = []
        for _ in range(2):
            it = await person(world)
            lists.append(await it.ask(SIGN_IN + b"UIDL 1\r\nQUIT\r\n", 4))
            await it.leave()
        assert lists[0] == lists[1]


async def test_a_long_listing_is_sent_in_pieces(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        for number in range(3000):
            (world.mailbox() / "new" / f"{number + 1}.a.host,S=1,W=2").touch()
        it = await person(world)
        said = await it.ask(SIGN_IN + b"LIST\r\nUIDL\r\nQUIT\r\n", 2 + 3002 + 3002 + 1)
        assert said[3002] == b"3000 2\r\n"
        assert said[-1] == b"+OK Bye\r\n"
        await it.leave()


async def test_many_messages_asked_for_at_once_come_in_turn(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        for number in range(1, 101):
            world.put(f"{number}.a.host", f"N: {number}\n" + ".x\n" * 1000)
        it = await person(world)
        await it.ask(SIGN_IN, 2)
        it.writer.write(b"".join(b"RETR %d\r\n" % n for n in range(1, 101)) + b"NOOP\r\n")
        it.writer.write_eof()
        for number in range(1, 101):
            said = [await it.line() for _ in range(1003)]
            assert said[1] == b"N: %d\r\n" % number
            assert set(said[2:-1]) == {b"..x\r\n"}
            assert said[-1] == b".\r\n"
        assert (await it.line(), await it.line()) == (b"+OK\r\n", b"")
        await it.leave()


async def test_many_short_commands_at_once_are_answered_in_turn(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        it = await person(world)
        await it.ask(SIGN_IN, 2)
        it.writer.write(b"STAT\r\n" * 1000)
        it.writer.write_eof()
        assert {await it.line() for _ in range(1000)} == {b"+OK 0 0\r\n"}
        assert await it.line() == b""
        await it.leave()


async def test_a_maildrop_that_did_not_change_is_opened_from_what_is_known(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        world.put("1.a.host", "x\n")
        listings = Listings(clock=lambda: time.time_ns() + 60_000_000_000)
        open_maildrop(world.mailbox(), listings).close()
        world.service.open_listed = lambda account: open_listed(tmp_path / account, listings)
        one, other = await person(world), await person(world)
        assert (await one.ask(SIGN_IN, 2))[1] == b"+OK 1 messages (3 octets)\r\n"
        assert (await other.ask(SIGN_IN, 2))[1].startswith(b"-ERR [IN-USE]")
        await one.ask(b"DELE 1\r\nQUIT\r\n", 2)
        assert (await other.ask(SIGN_IN, 2))[1] == b"+OK 0 messages (0 octets)\r\n"
        await one.leave()
        await other.leave()


class TornMaildrop(Maildrop):
    """The disk fails after the first block."""

    def read(self, number: int) -> Iterator[bytes]:
        yield b"x" * 70_000 + b"\r\n"
        raise MaildirError("input/output error")


async def test_half_a_message_never_looks_like_a_whole_one(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        world.put("1.a.host", "x\n")

        def torn(account: str) -> Maildrop:
            lock = os.open(tmp_path, os.O_RDONLY)
            return TornMaildrop(world.mailbox(), listed(world.mailbox()), lock)

        world.service.open_maildrop = torn
        it = await person(world)
        await it.ask(SIGN_IN, 2)
        it.writer.write(b"RETR 1\r\n")
        with contextlib.suppress(ConnectionError):
            said = await asyncio.wait_for(it.reader.read(), 5)
            assert not said.endswith(b"\r\n.\r\n")
        assert len(seen(world, StoreFailed)) == 1
        await it.leave()


async def test_a_message_that_cannot_be_removed_is_told_at_quit(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        world.put("1.a.host", "x\n")
        it = await person(world)
        await it.ask(SIGN_IN + b"DELE 1\r\n", 3)
        (path,) = (world.mailbox() / "new").iterdir()
        path.unlink()
        path.mkdir()
        (said,) = await it.ask(b"QUIT\r\n")
        assert said == b"-ERR [SYS/TEMP] Some deleted messages could not be removed\r\n"
        assert len(seen(world, StoreFailed)) == 1
        await it.leave()


async def test_a_bug_of_ours_ends_the_session_and_is_told(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:

        def broken(account: str) -> Maildrop:
            raise RuntimeError("a bug")

        world.service.open_maildrop = broken
        it = await person(world)
        it.writer.write(SIGN_IN)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(it.reader.read(), 5) in (b"", b"+OK Send PASS\r\n")
        await world.until(lambda: not world.service.sessions)
        (problem,) = world.loop_problems
        assert "a bug" in problem
        world.loop_problems.clear()
        await it.leave()


async def test_who_stops_reading_is_left_in_the_end(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(LIMITS, idle_time=timedelta(seconds=0.1))
    async with pop3_world(tmp_path, limits=limits) as world:
        maildir.deliver(world.mailbox(), (b"x" * 98 + b"\r\n" for _ in range(200_000)), id="large")
        it = await person(world, limit=1024)
        await it.ask(SIGN_IN, 2)
        it.writer.write(b"RETR 1\r\n")
        await world.until(lambda: not world.service.sessions)
        open_maildrop(world.mailbox()).close()
        it.reset()


async def test_a_slow_check_of_a_password_is_not_the_clients_idleness(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(LIMITS, wait_before_sign_in=timedelta(seconds=0.03))
    async with pop3_world(tmp_path, limits=limits) as world:
        world.passwords.gate = asyncio.Event()
        it = await person(world)
        it.writer.write(SIGN_IN)
        await asyncio.sleep(0.1)
        world.passwords.gate.set()
        assert (await it.line(), (await it.line())[:3]) == (b"+OK Send PASS\r\n", b"+OK")
        await it.leave()


async def test_no_room_for_a_session_costs_no_handshake(tmp_path: Path) -> None:
    limits = msgspec.structs.replace(LIMITS, sessions_max=0)
    async with pop3_world(tmp_path, TlsRule.FROM_START, limits) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_login_takes_its_name_with_auth(tmp_path: Path) -> None:
    async with pop3_world(tmp_path) as world:
        it = await person(world)
        said = await it.ask(b"AUTH LOGIN YW5uQGV4YW1wbGUuY29t\r\nc2VjcmV0\r\n", 2)
        assert said[0] == b"+ UGFzc3dvcmQ6\r\n"
        assert said[1].startswith(b"+OK 0 messages")
        await it.leave()
