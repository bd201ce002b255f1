"""What one client can make us keep: a bounded number of octets, whatever it sends and how."""

import asyncio
import ssl
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.sessions.smtp import SmtpSession
from posthouse.spool.intake import MEMORY_OCTETS_MAX, Intake
from posthouse.wire.stream import ENOUGH_OCTETS, PENDING_OCTETS_MAX
from tests.sessions.post import Post, post, rules_with, trusting, wait_until

FLOOD = b"NOOP\r\n" * 500_000  # 3 MB
PIECES = 100_000


def kept_by(session: SmtpSession) -> int:
    """Octets that were read of its client and are not dealt with."""
    ciphertext = session.tls._incoming.pending if session.tls is not None else 0
    return session._core.pending_octets + ciphertext


async def flooded(post: Post, listener: str, tls: ssl.SSLContext | None) -> Iterator[int]:
    """Let a client flood a session that waits for an answer of ours; what is kept each time."""
    _, writer = await asyncio.open_connection("127.0.0.1", post.ports[listener], ssl=tls)
    await wait_until(lambda: bool(post.service.sessions))
    (session,) = post.service.sessions
    assert isinstance(session, SmtpSession)
    await wait_until(lambda: not session._handshaking)
    session._waiting = True
    seen: list[int] = []
    receive = session.octets_received

    def received(octets: bytes) -> None:
        receive(octets)
        seen.append(kept_by(session))

    session.octets_received = received  # type: ignore[method-assign]
    writer.write(FLOOD)
    await wait_until(lambda: not session._reading)
    await asyncio.sleep(0.1)  # nothing more may come now
    seen.append(kept_by(session))
    writer.transport.abort()
    return iter(seen)


@pytest.mark.parametrize("listener", ["mx", "submissions"])
async def test_a_flood_behind_an_answer_that_is_late_stays_bounded(
    tmp_path: Path, listener: str
) -> None:
    tls = trusting() if listener == "submissions" else None
    async with post(tmp_path, rules_with()) as opened:
        seen = list(await flooded(opened, listener, tls))
    assert max(seen) <= PENDING_OCTETS_MAX
    assert seen[-1] > ENOUGH_OCTETS


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
