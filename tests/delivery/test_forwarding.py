"""The reverse-path of forwarded mail, and the secret behind it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from posthouse.authentication.srs import Rewriter
from posthouse.delivery.content import Content
from posthouse.delivery.forwarding import read_secrets, rewriting, unchanged
from posthouse.delivery.outcomes import Delivered, Outcome
from posthouse.delivery.rewriting import RewritingCarrier
from posthouse.delivery.routes import Exchangers, Route
from posthouse.mail.address import NULL, Mailbox, ReversePath
from posthouse.spool.records import Work
from tests.delivery.given import content, work

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_only_foreign_paths_are_rewritten() -> None:
    rewriter = Rewriter("ours.example", (b"sixteen octets!!",))
    rewrite = rewriting(rewriter, {"ours.example", "second.example"}.__contains__)
    foreign = rewrite(ReversePath(Mailbox("bob", "theirs.example")), NOON)
    assert foreign.mailbox is not None
    assert rewriter.reverse(foreign.mailbox, NOON) == Mailbox("bob", "theirs.example")
    for path in (
        NULL,
        *(ReversePath(Mailbox("a", it)) for it in ("ours.example", "second.example")),
    ):
        assert rewrite(path, NOON) == path
        assert unchanged(path, NOON) == path


class Wire:
    """Stands for the carrier that is the last one."""

    def __init__(self) -> None:
        self.paths: list[ReversePath] = []

    async def deliver(self, route: Route, work: Work, content: Content) -> dict[int, Outcome]:
        del route, content
        self.paths.append(work.envelope.reverse_path)
        return dict.fromkeys(work.indices, Delivered("250 ok"))

    async def close(self) -> None:
        return None


async def test_senders_are_rewritten_on_the_way_to_a_gateway_that_wants_it() -> None:
    rewriter = Rewriter("relay.example", (b"sixteen octets!!",))
    rewrite = rewriting(rewriter, {"relay.example"}.__contains__)
    wire, mail = Wire(), work()
    carrier = RewritingCarrier(wire, {mail.destination: rewrite}.get, lambda: NOON)
    await carrier.deliver(Route(Exchangers()), mail, content(b""))
    (path,) = wire.paths
    assert path.mailbox is not None
    assert path.mailbox.domain == "relay.example"
    assert rewriter.reverse(path.mailbox, NOON) == mail.envelope.reverse_path.mailbox
    elsewhere = replace(mail, destination="other.example")
    await carrier.deliver(Route(Exchangers()), elsewhere, content(b""))
    assert wire.paths[1] == mail.envelope.reverse_path


def test_the_secret_is_made_once_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "srs.secrets"
    (secret,) = read_secrets(path)
    assert len(secret) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_secrets(path) == (secret,)
    path.write_text("00" * 16 + "\n" + secret.hex() + "\n")
    assert read_secrets(path) == (bytes(16), secret)


@pytest.mark.parametrize("text", ["", "short", "00" * 15, "not hexadecimal at all"])
def test_a_file_without_a_proper_secret_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "srs.secrets"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"secret|hexadecimal"):
        read_secrets(path)
