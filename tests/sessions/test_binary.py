"""Binary mail comes in by BDAT and is kept octet for octet (RFC 3030 §3)."""

from itertools import pairwise
from pathlib import Path

from tests.sessions.post import post, rules_with

HELLO = ("EHLO client.example", "MAIL FROM:<x@far.example> BODY=BINARYMIME")
TO_ANN = (*HELLO, "RCPT TO:<ann@proseware.com>")
HEADER = b"From: x@far.example\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n"
BODY = b"\0\n\r\xff\r\n.\r\nMAIL FROM:<evil@far.example>\r\n\n.\n\r.\r"


def chunks(octets: bytes, *at: int) -> list[bytes]:
    """BDAT commands for content that is cut at these places."""
    places = [0, *at, len(octets)]
    return [
        b"BDAT %d%b\r\n%b"
        % (end - begin, b" LAST" if end == len(octets) else b"", octets[begin:end])
        for begin, end in pairwise(places)
    ]


async def test_binary_content_is_kept_octet_for_octet(tmp_path: Path) -> None:
    octets = HEADER + b"\r\n" + BODY
    async with post(tmp_path, rules_with()) as opened:
        opened.add_account("ann@proseware.com")
        said = await opened.talk("mx", *TO_ANN, *chunks(octets, 1, 40, len(octets) - 3), "NOOP")
        assert "BINARYMIME" in [line[4:] for line in said[1].split("\n")]
        assert [reply[:3] for reply in said[2:]] == ["250"] * 7
        (message,) = opened.spool.list_messages()
        assert message.envelope.body == "BINARYMIME"
        assert opened.only_content().endswith(b"\r\n" + octets)


async def test_binary_content_does_not_come_by_data(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with()) as opened:
        opened.add_account("ann@proseware.com")
        said = await opened.talk("mx", *TO_ANN, "DATA", "RSET")
    assert said[-2].startswith("503 5.5.1")
    assert said[-1].startswith("250")


async def test_the_header_of_binary_content_has_lines_all_the_same(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with()) as opened:
        opened.add_account("ann@proseware.com")
        for bad in (b"X: a\nBcc: b\r\n", b"X: a\rb\r\n", b"X: \0\r\n"):
            said = await opened.talk("mx", *TO_ANN, *chunks(HEADER + bad + b"\r\n" + BODY))
            assert said[-1].replace("-", " ").startswith("550 5.6.0")
        assert opened.queue() == []
