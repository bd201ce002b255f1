"""Signing in to a POP3 session by every mechanism, with real accounts behind it."""

import asyncio
import hashlib
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
import pytest

from posthouse.accounts.answers import TokenError
from posthouse.accounts.passwords import add_account
from posthouse.accounts.verifier import Sources, Verifier
from posthouse.mail.address import parse_mailbox
from posthouse.protocol import cram_md5, oauth
from posthouse.protocol.scram import ScramClient
from posthouse.sessions.pop3_service import TlsRule
from tests.accounts.memory import MemoryAccountStore
from tests.sessions.pop3_world import LIMITS, NOON, World, client_context, pop3_world

PASSWORD: Final = "correct horse"
ALL: Final = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "CRAM-MD5", "APOP")


class Tokens:
    async def holder(self, token: str) -> str:
        if token != "good":
            raise TokenError("no")
        return "ann@example.com"


class Talk:
    """A client that says a line and reads one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.greeting = ""
        self.end_point = b""

    async def line(self) -> str:
        return (await asyncio.wait_for(self.reader.readline(), 5)).decode().strip()

    async def say(self, text: str) -> str:
        self.writer.write(text.encode() + b"\r\n")
        return await self.line()

    async def answer(self, octets: bytes) -> str:
        return await self.say(b64encode(octets).decode())

    async def capabilities(self) -> list[str]:
        await self.say("CAPA")
        found: list[str] = []
        while (line := await self.line()) != ".":
            found.append(line)
        return found

    async def scram(self, client: ScramClient) -> str:
        said = await self.say(f"AUTH {client.mechanism} {b64encode(client.initial).decode()}")
        while said.startswith("+ "):
            answer = client.respond(b64decode(said[2:]))
            assert answer is not None
            said = await self.answer(answer)
        return said


@asynccontextmanager
async def talking(
    tmp_path: Path,
    *,
    tls: bool = True,
    mechanisms: tuple[str, ...] = (),
    stored: str = "",
    login_delay: timedelta = timedelta(0),
) -> AsyncIterator[tuple[Talk, World]]:
    store = MemoryAccountStore(lambda: NOON)
    add_account(store, parse_mailbox("ann@example.com"), PASSWORD)
    if stored:
        store.set_password("ann", stored)
    verifier = Verifier(
        store,
        now=lambda: NOON,
        pause=timedelta(0),
        sources=Sources(tokens=Tokens(), keeps_plain=True),
    )
    limits = msgspec.structs.replace(LIMITS, login_delay=login_delay)
    rule = TlsRule.FROM_START if tls else TlsRule.OFFERED
    async with pop3_world(tmp_path, rule, limits, verifier, mechanisms) as world:
        world.mailbox()
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            world.port,
            ssl=client_context() if tls else None,
            server_hostname="localhost" if tls else None,
        )
        talk = Talk(reader, writer)
        if tls:
            shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            talk.end_point = hashlib.sha256(shown).digest()
        talk.greeting = await talk.line()
        yield talk, world
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
    verifier.close()


async def test_scram_bound_to_the_tls_connection_opens_the_maildrop(tmp_path: Path) -> None:
    async with talking(tmp_path) as (talk, world):
        assert (
            "SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER XOAUTH2"
            in await talk.capabilities()
        )
        binding = ("tls-server-end-point", talk.end_point)
        client = ScramClient("ann@example.com", PASSWORD, "nonce", binding=binding)
        assert await talk.scram(client) == "+OK 0 messages (0 octets)"
        assert client.server_is_proven
        assert world.sign_ins == ["ann@example.com"]


async def test_scram_bound_to_another_connection_does_not(tmp_path: Path) -> None:
    async with talking(tmp_path) as (talk, _):
        binding = ("tls-server-end-point", b"\0" * 32)
        client = ScramClient("ann@example.com", PASSWORD, "nonce", binding=binding)
        assert "channel binding does not match" in await talk.scram(client)
        hidden = ScramClient("ann@example.com", PASSWORD, "nonce", could_bind=True)
        assert "hid SCRAM-SHA-256-PLUS" in await talk.scram(hidden)


async def test_without_tls_there_is_nothing_to_bind_to(tmp_path: Path) -> None:
    async with talking(tmp_path, tls=False) as (talk, _):
        (offered,) = [it for it in await talk.capabilities() if it.startswith("SASL")]
        assert offered == "SASL SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER XOAUTH2"
        client = ScramClient("ann", PASSWORD, "nonce", could_bind=True)
        assert (await talk.scram(client)).startswith("+OK")


@pytest.mark.parametrize("name", ["ann@example.com", "nobody@example.com"])
async def test_a_wrong_password_fails_in_the_same_words_for_everybody(
    tmp_path: Path, name: str
) -> None:
    async with talking(tmp_path, mechanisms=ALL, stored="{PLAIN}" + PASSWORD) as (talk, _):
        failed = "-ERR [AUTH] Name or password is wrong"
        assert await talk.scram(ScramClient(name, "wrong", "nonce")) == failed
        challenge = await talk.say("AUTH CRAM-MD5")
        answer = cram_md5.respond_as_client(b64decode(challenge[2:]), name, "wrong")
        assert await talk.answer(answer) == failed


async def test_an_account_with_a_hash_is_not_offered_scram_until_something_is_kept_for_it(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, stored="{PLAIN}" + PASSWORD) as (talk, _):
        assert "SASL PLAIN LOGIN OAUTHBEARER XOAUTH2" in await talk.capabilities()
        await talk.say("USER ann@example.com")
        assert (await talk.say(f"PASS {PASSWORD}")).startswith("+OK")


async def test_cram_md5_and_apop_where_the_password_can_be_read(tmp_path: Path) -> None:
    async with talking(tmp_path, mechanisms=ALL, stored="{PLAIN}" + PASSWORD) as (talk, _):
        challenge = await talk.say("AUTH CRAM-MD5")
        wrong = cram_md5.respond_as_client(b64decode(challenge[2:]), "ann", "wrong")
        assert (await talk.answer(wrong)).startswith("-ERR [AUTH]")
        challenge = await talk.say("AUTH CRAM-MD5")
        assert b64decode(challenge[2:]).endswith(b"@mail.example.com>")
        right = cram_md5.respond_as_client(b64decode(challenge[2:]), "ann", PASSWORD)
        assert (await talk.answer(right)).startswith("+OK")
    async with talking(tmp_path, mechanisms=ALL, stored="{PLAIN}" + PASSWORD) as (talk, _):
        stamp = talk.greeting.split(" ")[-1]
        for password, said in (("wrong", "-ERR [AUTH]"), (PASSWORD, "+OK")):
            digest = hashlib.md5((stamp + password).encode()).hexdigest()
            assert (await talk.say(f"APOP ann@example.com {digest}")).startswith(said)


async def test_apop_does_not_work_for_hashes(tmp_path: Path) -> None:
    async with talking(tmp_path, mechanisms=ALL) as (talk, _):
        stamp = talk.greeting.split(" ")[-1]
        digest = hashlib.md5((stamp + PASSWORD).encode()).hexdigest()
        assert (await talk.say(f"APOP ann {digest}")).startswith("-ERR [AUTH]")
        assert (await talk.say(f"APOP nobody {digest}")).startswith("-ERR [AUTH]")


async def test_a_token_opens_the_maildrop_and_a_bad_one_is_told_why_first(tmp_path: Path) -> None:
    async with talking(tmp_path) as (talk, _):
        bad = oauth.first_message("OAUTHBEARER", "ann@example.com", "bad")
        said = await talk.say("AUTH OAUTHBEARER " + b64encode(bad).decode())
        assert b64decode(said[2:]) == b'{"status":"invalid_token"}'
        assert await talk.answer(b"\x01") == "-ERR [AUTH] Name or password is wrong"
        said = await talk.say("AUTH XOAUTH2")
        good = oauth.first_message("XOAUTH2", "ann@example.com", "good")
        assert (await talk.answer(good)).startswith("+OK")


async def test_a_cancelled_exchange_is_forgotten(tmp_path: Path) -> None:
    async with talking(tmp_path) as (talk, _):
        client = ScramClient("ann", PASSWORD, "nonce")
        await talk.say(f"AUTH SCRAM-SHA-256 {b64encode(client.initial).decode()}")
        assert await talk.say("*") == "-ERR Cancelled"
        assert (await talk.scram(ScramClient("ann", PASSWORD, "nonce"))).startswith("+OK")


async def test_after_its_last_word_the_client_may_only_agree(tmp_path: Path) -> None:
    async with talking(tmp_path) as (talk, _):
        client = ScramClient("ann", PASSWORD, "nonce")
        said = await talk.say(f"AUTH SCRAM-SHA-256 {b64encode(client.initial).decode()}")
        final = client.respond(b64decode(said[2:]))
        assert final is not None
        assert (await talk.answer(final)).startswith("+ ")
        assert (await talk.answer(b"more")).startswith("-ERR Sign-in failed")
        assert (await talk.say("STAT")).startswith("-ERR")


async def test_who_comes_again_too_soon_is_told_after_the_password(tmp_path: Path) -> None:
    async with talking(tmp_path, login_delay=timedelta(minutes=5)) as (talk, world):
        assert "LOGIN-DELAY 300" in await talk.capabilities()
        assert (await talk.scram(ScramClient("ann", PASSWORD, "nonce"))).startswith("+OK")
        assert await talk.say("QUIT") == "+OK Bye"
        world.service.now = lambda: NOON + timedelta(minutes=1)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", world.port, ssl=client_context(), server_hostname="localhost"
        )
        again = Talk(reader, writer)
        await again.line()
        said = await again.scram(ScramClient("ann", PASSWORD, "nonce"))
        assert said == "-ERR [LOGIN-DELAY] You were here a moment ago: wait before the next time"
        world.service.now = lambda: NOON + timedelta(minutes=5)
        assert (await again.scram(ScramClient("ann", PASSWORD, "nonce"))).startswith("+OK")
        writer.close()
