"""The reverse-path of forwarded mail, and the secret behind it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from posthouse.authentication.srs import Rewriter
from posthouse.delivery.forwarding import read_secrets, rewriting, unchanged
from posthouse.mail.address import NULL, Mailbox, ReversePath

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
