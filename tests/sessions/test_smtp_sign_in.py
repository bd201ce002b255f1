"""AUTH in a submission session by every mechanism, and behind a proxy."""

import asyncio
import hashlib
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from posthouse.accounts.passwords import add_account, make_submission_password
from posthouse.mail.address import parse_mailbox
from posthouse.policy.networks import NetworkTable
from posthouse.protocol import oauth
from posthouse.protocol.scram import ScramClient
from posthouse.telemetry.events import SignedIn
from tests.protocol.test_proxy import field, v2
from tests.sessions.post import LISTENERS, SIGNED_IN, Post, post, read_reply, rules_with, trusting

PASSWORD = "correct horse"
LOOPBACK = NetworkTable([(ip_network("127.0.0.0/8"), 0)])


class Talk:
    """A client that says a line and reads a reply."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.end_point = b""

    async def say(self, text: str) -> str:
        self.writer.write(text.encode() + b"\r\n")
        return await read_reply(self.reader)

    async def answer(self, octets: bytes) -> str:
        return await self.say(b64encode(octets).decode())

    async def mechanisms(self) -> str:
        lines = (await self.say("EHLO client.example")).split("\n")
        return next((it[4:] for it in lines if it[4:].startswith("AUTH")), "")

    async def scram(self, client: ScramClient) -> str:
        said = await self.say(f"AUTH {client.mechanism} {b64encode(client.initial).decode()}")
        while said.startswith("334 "):
            answer = client.respond(b64decode(said[4:]))
            assert answer is not None
            said = await self.answer(answer)
        return said


@asynccontextmanager
async def talking(
    directory: Path, listener: str, before: bytes = b"", **changes: Any
) -> AsyncIterator[tuple[Talk, Post]]:
    rules = rules_with(SIGNED_IN)
    listeners = {it.name: replace(it, **changes) for it in LISTENERS}
    async with post(directory, replace(rules, listeners=listeners)) as opened:
        add_account(opened.accounts, parse_mailbox("ann@proseware.com"), PASSWORD)
        tls = trusting() if listener == "submissions" else None
        reader, writer = await asyncio.open_connection("127.0.0.1", opened.ports[listener], ssl=tls)
        writer.write(before)
        talk = Talk(reader, writer)
        if tls is not None:
            shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            talk.end_point = hashlib.sha256(shown).digest()
        try:
            assert (await read_reply(reader)).startswith("220 ")
            yield talk, opened
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


async def test_scram_bound_to_the_tls_connection_signs_in(tmp_path: Path) -> None:
    async with talking(tmp_path, "submissions") as (talk, opened):
        assert await talk.mechanisms() == "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"
        binding = ("tls-server-end-point", talk.end_point)
        client = ScramClient("ann@proseware.com", PASSWORD, "nonce", binding=binding)
        assert (await talk.scram(client)).startswith("235 2.7.0")
        assert client.server_is_proven
        (told,) = [it for it in opened.events if isinstance(it, SignedIn)]
        assert told.mechanism == "SCRAM-SHA-256-PLUS"
        assert (await talk.say("MAIL FROM:<ann@proseware.com>")).startswith("250")
        assert (await talk.say("RCPT TO:<far@far.example>")).startswith("250")


async def test_a_submission_password_signs_in_by_scram(tmp_path: Path) -> None:
    async with talking(tmp_path, "devices") as (talk, opened):
        password = make_submission_password(opened.accounts, "ann", "phone")
        assert await talk.mechanisms() == "AUTH SCRAM-SHA-256 PLAIN LOGIN"
        assert (await talk.scram(ScramClient("ann", password, "nonce"))).startswith("235")


@pytest.mark.parametrize("name", ["ann@proseware.com", "nobody@proseware.com"])
async def test_a_wrong_password_fails_in_the_same_words_for_everybody(
    tmp_path: Path, name: str
) -> None:
    async with talking(tmp_path, "devices") as (talk, _):
        await talk.mechanisms()
        by_scram = await talk.scram(ScramClient(name, "wrong", "nonce"))
        assert by_scram.startswith(("535 5.7.8", "535-5.7.8"))
        plain = f"\0{name}\0wrong".encode()
        by_plain = await talk.say("AUTH PLAIN " + b64encode(plain).decode())
        assert by_plain.split(" case ")[0] == by_scram.split(" case ")[0]


async def test_a_token_that_is_not_good_is_told_before_it_fails(tmp_path: Path) -> None:
    async with talking(tmp_path, "devices", mechanisms=("PLAIN", "XOAUTH2")) as (talk, _):
        assert await talk.mechanisms() == "AUTH PLAIN XOAUTH2"
        bad = oauth.first_message("XOAUTH2", "ann@proseware.com", "bad")
        said = await talk.say("AUTH XOAUTH2 " + b64encode(bad).decode())
        assert b64decode(said[4:]) == b'{"status":"invalid_token"}'
        assert (await talk.say("")).startswith("535")


async def test_cancelling_at_any_step_leaves_the_session_usable(tmp_path: Path) -> None:
    async with talking(tmp_path, "devices") as (talk, _):
        await talk.mechanisms()
        for steps in (0, 1, 2):
            client = ScramClient("ann", PASSWORD, "nonce")
            said = await talk.say("AUTH SCRAM-SHA-256")
            assert said == "334 "
            words = client.initial
            for _ in range(steps):
                said = await talk.answer(words)
                answer = client.respond(b64decode(said[4:]))
                assert answer is not None
                words = answer
            assert (await talk.say("*")).startswith("501")
        assert (await talk.scram(ScramClient("ann", PASSWORD, "nonce"))).startswith("235")


async def test_a_session_behind_a_proxy_is_with_the_real_client(tmp_path: Path) -> None:
    header = b"PROXY TCP4 192.0.2.7 203.0.113.25 56324 587\r\n"
    async with talking(tmp_path, "devices", header, proxied_from=LOOPBACK) as (talk, opened):
        await talk.mechanisms()
        assert (await talk.scram(ScramClient("ann", PASSWORD, "nonce"))).startswith("235")
        (told,) = [it for it in opened.events if isinstance(it, SignedIn)]
        assert told.client == "192.0.2.7"
        await talk.say("MAIL FROM:<ann@proseware.com>")
        await talk.say("RCPT TO:<far@far.example>")
        await talk.say("DATA")
        assert (await talk.say("From: <ann@proseware.com>\r\n\r\nHello\r\n.")).startswith("250")
        assert b"[192.0.2.7]" in opened.only_content()


async def test_tls_with_the_proxy_counts_where_tls_comes_before_sign_in(tmp_path: Path) -> None:
    tls = field(0x20, b"\x01\0\0\0\0" + field(0x21, b"TLSv1.3"))
    for header, offered in ((v2(), ""), (v2(fields=tls), "AUTH SCRAM-SHA-256 PLAIN LOGIN")):
        place = tmp_path / (offered[:4] or "clear")
        place.mkdir()
        async with talking(place, "submission", header, proxied_from=LOOPBACK) as (talk, _):
            assert await talk.mechanisms() == offered


async def test_a_trusted_server_tells_whom_it_speaks_for(tmp_path: Path) -> None:
    async with talking(tmp_path, "devices", told_from=LOOPBACK) as (talk, opened):
        hello = await talk.say("EHLO filter.example")
        assert "XCLIENT NAME ADDR PORT PROTO HELO DESTADDR DESTPORT" in hello
        assert (await talk.say("XFORWARD NAME=a.example ADDR=192.0.2.8")).startswith("250")
        assert (await talk.say("XCLIENT ADDR=oops")).startswith("501")
        assert (await talk.scram(ScramClient("ann", PASSWORD, "nonce"))).startswith("235")
        assert (await talk.say("XCLIENT NAME=c.example ADDR=192.0.2.7 PROTO=ESMTP")).startswith(
            "220"
        )
        assert (await talk.say("MAIL FROM:<ann@proseware.com>")).startswith("503"), "EHLO first"
        hello = await talk.say("EHLO client.example")
        assert "XCLIENT" not in hello, "the client itself is nobody to tell us anything"
        assert (await talk.say("XCLIENT ADDR=127.0.0.1")).startswith("502")
        said = await talk.say("MAIL FROM:<ann@proseware.com>")
        assert said.startswith("530"), "the sign-in before was the filter's own"
        assert (await talk.scram(ScramClient("ann", PASSWORD, "nonce"))).startswith("235")
        assert [it.client for it in opened.events if isinstance(it, SignedIn)] == [
            "127.0.0.1",
            "192.0.2.7",
        ]
    assert opened.service.census.sessions == 0


async def test_nobody_else_tells_us_anything(tmp_path: Path) -> None:
    async with talking(tmp_path, "devices") as (talk, _):
        assert "XCLIENT" not in await talk.say("EHLO a.example")
        assert (await talk.say("XCLIENT ADDR=192.0.2.7")).startswith("502")
        assert (await talk.say("XFORWARD ADDR=192.0.2.7")).startswith("502")
        await talk.scram(ScramClient("ann", PASSWORD, "nonce"))
        await talk.say("MAIL FROM:<ann@proseware.com>")
        assert (await talk.say("XCLIENT ADDR=192.0.2.7")).startswith("502"), "in a transaction too"
