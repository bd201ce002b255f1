"""Clients that cannot wait for their turn, where the operator does not want them."""

import asyncio
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from posthouse.policy.rules import Rules
from posthouse.telemetry.events import Disconnected
from tests.sessions.post import LISTENERS, SIGNED_IN, Post, post, read_reply, rules_with, wait_until
from tests.sessions.test_settled import AT_HOME, HERE, codes
from tests.sessions.test_smtp import END, MESSAGE, TO_ANN


def strict() -> Rules:
    mx = replace(LISTENERS[0], greeting_pause=timedelta(seconds=0.1))
    return rules_with(SIGNED_IN, listeners={"mx": mx})


async def hasty(server: Post, octets: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
    writer.write(octets)
    said = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return said


async def test_who_speaks_before_the_greeting_is_refused(tmp_path: Path) -> None:
    async with post(tmp_path, strict()) as server:
        said = await hasty(server, b"EHLO bot.example\r\nMAIL FROM:<a@b.example>\r\n")
        assert said == b"554 5.5.0 You spoke before the greeting: wait for it\r\n"
        await wait_until(lambda: any(isinstance(it, Disconnected) for it in server.events))
        (gone,) = [it for it in server.events if isinstance(it, Disconnected)]
        assert "before the greeting" in gone.why


async def test_who_waits_is_served(tmp_path: Path) -> None:
    async with post(tmp_path, strict()) as server:
        server.add_account("ann@proseware.com")
        assert codes(await server.talk("mx", *TO_ANN, MESSAGE + END))[-1] == "250"


async def test_who_leaves_before_the_greeting_leaves_nothing_behind(tmp_path: Path) -> None:
    async with post(tmp_path, strict()) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
        writer.close()
        await wait_until(lambda: server.service.census.sessions == 0)
        await asyncio.sleep(0.15)
        assert server.service.sessions == set()


async def test_elsewhere_early_words_are_only_heard_later(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
        writer.write(b"EHLO early.example\r\n")
        assert (await read_reply(reader)).startswith("220")
        assert (await read_reply(reader)).startswith("250")
        writer.close()


async def test_an_old_device_may_write_its_lines_as_it_does(tmp_path: Path) -> None:
    devices = replace(LISTENERS[3], mends_newlines=True)
    strangers = replace(LISTENERS[0], mends_newlines=True)  # which no configuration can say
    here = replace(HERE, listeners=frozenset({"devices"}))
    rules = rules_with(here, listeners={"devices": devices, "mx": strangers})
    content = b"From: ann@proseware.com\nSubject: scan\n\npage 1\n"
    async with post(tmp_path, rules) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk("devices", *AT_HOME, "DATA", content + b"\r\n.\r\n")
        assert codes(said)[-1] == "250"
        assert server.only_content().endswith(b"\r\nSubject: scan\r\n\r\npage 1\r\n\r\n")
        said = await server.talk("mx", *TO_ANN, content + b"\r\n.\r\n")
        assert codes(said)[-1] == "550"
