"""strace sees it: what a 250 promises was flushed before, by the file and by its name."""

import re
import threading
from pathlib import Path

import pytest
from msgspec import Struct

from posthouse.server.crew import numbered
from tests.durability.tracing import Call, TracedServer, can_trace, flushed, made, wrote
from tests.end_to_end.server import BOB, configuration, door
from tests.end_to_end.sinks import sinking
from tests.end_to_end.talking import Talk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_trace(), reason="strace is missing (make peers) or may not trace"),
]
SESSIONS, MAILS, LARGE_OCTETS = 5, 8, 300_000
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
_PROMISE = re.compile(rb"250[ -]2\.\d\.\d [^\r]*? ([0-9A-Z]{11})\b")


class Promise(Struct, frozen=True):
    """What a client has in its hands after a 250."""

    id: str
    token: bytes
    kind: str


def send(place: tuple[str, int], number: int, promises: list[Promise]) -> None:
    bodies = {"short": b"Hello.\r\n", "large": b"x" * 70 + b"\r\n", "held": GTUBE}
    with Talk(place) as talk:
        talk.say("EHLO laptop.example")
        for count in range(MAILS):
            kind = {3: "large", 5: "held"}.get(count, "short")
            body = bodies[kind] * (LARGE_OCTETS // 72 if kind == "large" else 1)
            token = b"token-%d-%d." % (number, count)
            content = b"From: x@proseware.com\r\nSubject: %s\r\n\r\n%s" % (token, body)
            answer = talk.mail("x@proseware.com", "carol@adatum.com", content=content)
            assert answer.code == 250, answer
            promise = re.search(r"\b([0-9A-Z]{11})\b", answer.text)
            assert promise, answer
            promises.append(Promise(promise[1], token, kind))


class Seen(Struct, frozen=True):
    """What strace saw of a server under load, and what clients were told.

    Attributes:
        storage: Where the spools are.
        workers: How many there are.
        calls: Of all processes.
        promises: In clients' hands.
    """

    storage: Path
    workers: int
    calls: list[Call]
    promises: list[Promise]

    def of_kind(self, kind: str) -> list[Promise]:
        return [it for it in self.promises if it.kind == kind]

    def spool_of(self, promise: Promise) -> Path:
        """The spool of the worker that made the promise: the last sign of the id tells."""
        number = int(promise.id[-1]) + 1 if self.workers > 1 else 1
        return numbered(self.storage / "spool", number)


@pytest.fixture(scope="module", params=[1, 2])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    directory = tmp_path_factory.mktemp("traced")
    promises: list[Promise] = []
    with sinking() as sink:
        via = f"smtp://127.0.0.1:{sink.port}"
        networks = door("network", networks='["127.0.0.1"]', sends_as='["*"]')
        top = f"workers = {request.param}"
        server = TracedServer(directory, configuration(networks, via=via, top=top))
        server.add_account(BOB)
        server.start()
        try:
            place = server.place("mx")
            senders = [
                threading.Thread(target=send, args=(place, number, promises))
                for number in range(SESSIONS)
            ]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join(60)
        finally:
            server.stop()
    assert len(promises) == SESSIONS * MAILS
    return Seen(server.storage, request.param, server.calls(), promises)


def told(calls: list[Call], promise: Promise) -> int:
    """The line in which the server began to say 250 to a client."""
    for call in calls:
        if not call.path.startswith("/") and promise.id.encode() in _PROMISE.findall(call.octets):
            return call.began
    raise AssertionError(f"nobody said 250 for {promise}")


def is_safe(calls: list[Call], folder: Path, octets: bytes, before: int) -> bool:
    """Whether these octets were written below a directory and flushed before a line."""
    return any(
        flushed(calls, call.path, after=call.ended, before=before)
        for call in wrote(calls, folder, octets)
    )


def test_a_short_mail_is_in_the_flushed_journal_before_its_250(seen: Seen) -> None:
    calls = seen.calls
    for promise in seen.of_kind("short"):
        spool, before = seen.spool_of(promise), told(calls, promise)
        assert wrote(calls, spool / "journal", promise.token), promise
        assert is_safe(calls, spool / "journal", promise.token, before), promise


def test_a_held_mail_is_in_the_flushed_shelf_before_its_250(seen: Seen) -> None:
    calls = seen.calls
    for promise in seen.of_kind("held"):
        shelf = seen.spool_of(promise) / "spool.db-wal"
        assert is_safe(calls, shelf, promise.token, told(calls, promise)), promise


def test_a_large_mail_has_a_flushed_file_with_a_flushed_name_and_a_flushed_row_before_its_250(
    seen: Seen,
) -> None:
    calls = seen.calls
    for promise in seen.of_kind("large"):
        spool, before = seen.spool_of(promise), told(calls, promise)
        (begun, *_) = wrote(calls, spool / "large", promise.token)
        last = max(call.ended for call in calls if call.path == begun.path and "write" in call.name)
        (in_file, *_) = flushed(calls, begun.path, after=last, before=before)
        (named, *_) = flushed(calls, str(spool / "large"), after=in_file.ended, before=before)
        rows = wrote(calls, spool / "spool.db-wal", promise.id.encode())
        assert any(
            named.ended < row.began and flushed(calls, row.path, after=row.ended, before=before)
            for row in rows
        ), promise


def test_what_is_flushed_has_a_flushed_name_up_to_the_directory_of_the_storage(seen: Seen) -> None:
    calls = seen.calls
    first = min(told(calls, promise) for promise in seen.promises)
    spools = {seen.spool_of(promise) for promise in seen.promises}
    journals = {
        call.path
        for call in calls
        if call.name == "write" and Path(call.path).parent in {it / "journal" for it in spools}
    }
    others = {str(it / name) for it in spools for name in ("", "journal", "large", "spool.db")}
    for path in journals | others:
        born = made(calls, path)
        used = [it.ended for it in calls if it.path == path and it.name == "fdatasync"]
        folder, before = str(Path(path).parent), max(first, min(used, default=first))
        assert flushed(calls, folder, after=born, before=before), f"the name {path} is not flushed"
