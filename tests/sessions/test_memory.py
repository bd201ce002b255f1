"""What one client can make us keep: a bounded number of octets, whatever it sends and how."""

import asyncio
import gc
import socket
import ssl
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from posthouse.policy.rules import Limits
from posthouse.sessions.smtp import SmtpSession
from posthouse.spool.intake import MEMORY_OCTETS_MAX, Intake
from posthouse.wire.stream import ENOUGH_OCTETS, PENDING_OCTETS_MAX
from tests.sessions.post import Post, post, rules_with, trusting, wait_until

FLOOD = b"NOOP\r\n" * 500_000  # 3 MB
PIECES = 100_000
SESSIONS = 100
SESSION_OCTETS_MAX = 1500  # without its transport and socket
OURS = (tracemalloc.Filter(True, "*/posthouse/*"),)


def kept_by(session: SmtpSession) -> int:
    """Octets that were read of its client and are not dealt with."""
    ciphertext = session.tls._incoming.pending if session.tls is not None else 0
    return session._core.pending_octets + ciphertext


async def flooded(
    post: Post, listener: str, tls: ssl.SSLContext | None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """Let a client flood a session that waits for an answer of ours; what is kept each time."""
    _, writer = await asyncio.open_connection("127.0.0.1", post.ports[listener], ssl=tls)
    await wait_until(lambda: bool(post.service.sessions))
    (session,) = post.service.sessions
    assert isinstance(session, SmtpSession)
    await wait_until(lambda: not session._handshaking)
    session._waiting = True
    seen: list[int] = []
    receive = SmtpSession.octets_received

    def received(session: SmtpSession, octets: bytes) -> None:
        receive(session, octets)
        seen.append(kept_by(session))

    monkeypatch.setattr(SmtpSession, "octets_received", received)
    writer.write(FLOOD)
    await wait_until(lambda: not session._reading)
    await asyncio.sleep(0.1)  # nothing more may come now
    seen.append(kept_by(session))
    writer.transport.abort()
    return iter(seen)


@pytest.mark.parametrize("listener", ["mx", "submissions"])
async def test_a_flood_behind_an_answer_that_is_late_stays_bounded(
    tmp_path: Path, listener: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = trusting() if listener == "submissions" else None
    async with post(tmp_path, rules_with()) as opened:
        seen = list(await flooded(opened, listener, tls, monkeypatch))
    assert max(seen) <= PENDING_OCTETS_MAX
    assert seen[-1] > ENOUGH_OCTETS


async def test_a_session_that_only_waits_keeps_little_of_ours(tmp_path: Path) -> None:
    rules = rules_with(limits=Limits(sessions_per_address=2 * SESSIONS))
    async with post(tmp_path, rules) as opened:
        opened.service.log = lambda _: None
        with ExitStack() as clients:
            await wait_for_greeted(opened, clients, 5)  # what all sessions share
            gc.collect()
            tracemalloc.start()
            try:
                await wait_for_greeted(opened, clients, SESSIONS)
                gc.collect()
                ours = tracemalloc.take_snapshot().filter_traces(OURS)
            finally:
                tracemalloc.stop()
    assert sum(it.size for it in ours.traces) < SESSION_OCTETS_MAX * SESSIONS


async def wait_for_greeted(post: Post, clients: ExitStack, count: int) -> None:
    """Open sessions that say EHLO and no more."""

    def greet() -> None:
        for _ in range(count):
            client = clients.enter_context(
                socket.create_connection(("127.0.0.1", post.ports["mx"]), 10)
            )
            assert client.recv(4096).startswith(b"220 ")
            client.sendall(b"EHLO a-client.of-some.example\r\n")
            assert client.recv(4096).endswith(b"250 HELP\r\n")

    await asyncio.to_thread(greet)


def test_content_that_comes_in_little_pieces_costs_what_a_large_piece_costs() -> None:
    intake = Intake(door=None)  # type: ignore[arg-type] # no file is needed
    tracemalloc.start()
    try:
        for _ in range(PIECES):
            intake.write(b"ab")
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 2 * PIECES < MEMORY_OCTETS_MAX
    assert used < 1.5 * MEMORY_OCTETS_MAX
    assert intake.head(4) == b"abab"
