"""Strangers' mail is examined before it is accepted: over the wire, into the spool and the case."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from posthouse.authentication.lookups import LookUp, Records
from posthouse.authentication.srs import Rewriter
from posthouse.mail.address import Mailbox, ReversePath
from posthouse.policy.rules import AuthorRule, Door, DoorKind
from posthouse.sessions.authenticity import Examiner
from posthouse.telemetry.cases import Search
from tests.authentication.signatures.given import NOON, ZONE, signed
from tests.authentication.zones import Zone, look_up_in
from tests.sessions.post import SIGNED_IN, Post, post, rules_with, wait_until

HERE = Door(DoorKind.NETWORK, "here", networks=("127.0.0.0/8",))
DNS: Zone = {
    **{name: [("TXT", text) for text in texts] for name, texts in ZONE.items()},
    "example.com": [("TXT", "v=spf1 -all"), ("A", "192.0.2.1")],
    "_dmarc.example.com": [("TXT", "v=DMARC1; p=reject")],
}
FORGED = b"Authentication-Results: mail.proseware.com; dmarc=pass\r\n"
OTHERS = b"Authentication-Results: mx.example.com; spf=pass\r\n"
RETURNS = Rewriter("proseware.com", (b"sixteen octets!!",))
ASK = ("EHLO mail.example.com", "MAIL FROM:<ann@example.com>", "RCPT TO:<bob@proseware.com>")


@asynccontextmanager
async def examining(
    directory: Path, look_up: LookUp | None = None, *doors: Door
) -> AsyncIterator[Post]:
    async with post(directory, rules_with(*(doors or (SIGNED_IN,)))) as server:
        server.add_account("bob@proseware.com")
        examiner = Examiner(look_up or look_up_in(DNS), server.events.append)
        server.service.examiner, server.service.returns = examiner, RETURNS
        yield server
        await examiner.close()


async def test_the_field_is_on_top_the_forged_one_gone_and_the_case_tells_all(
    tmp_path: Path,
) -> None:
    async with examining(tmp_path) as server:
        message = OTHERS + FORGED + signed()
        said = await server.talk("mx", *ASK, "DATA", message + b".\r\n")
        assert said[-1].startswith("250")
        content = server.only_content()
        assert content.startswith(b"Authentication-Results: mail.proseware.com;\r\n\tspf=fail ")
        assert b"dkim=pass header.d=example.com" in content
        assert b"dmarc=pass header.from=example.com" in content
        assert content.endswith(OTHERS + signed())
        assert b"; dmarc=pass\r\n" not in content
        server.cases.flush()
        found = server.cases.search(Search(person="ann@example.com"))
        steps = {step.question: step for case in found for step in case.trace}
        assert steps["DMARC passes"].because == "pass: DKIM passed for example.com"
        assert steps["SPF passes"].because == "fail: -all of example.com matches 127.0.0.1"


async def test_mail_that_fails_everything_is_still_accepted(tmp_path: Path) -> None:
    async with examining(tmp_path) as server:
        said = await server.talk("mx", *ASK, "DATA", b"From: ann@example.com\r\n\r\nhi\r\n.\r\n")
        assert said[-1].startswith("250")
        assert b'p=reject"' in server.only_content()


async def test_where_dmarc_is_enforced_what_the_domain_rejects_is_refused_with_its_case(
    tmp_path: Path,
) -> None:
    async with examining(tmp_path) as server:
        server.service.rules = replace(server.service.rules, authors=AuthorRule(refuses=True))
        forged = ("DATA", b"From: ann@example.com\r\n\r\nhi\r\n.\r\n")
        genuine = ("DATA", signed() + b".\r\n")
        said = await server.talk("mx", *ASK, *forged, *ASK[1:], *genuine)
        (refused,) = [reply for reply in said if reply.startswith("550-5.7.26 ")]
        assert "[author-not-confirmed] case" in refused
        assert said[-1].startswith("250")
        assert len(server.queue()) == 1
        server.cases.flush()
        (case,) = server.cases.search(Search(reason="author-not-confirmed"))
        steps = {step.question: step for step in case.trace}
        assert steps["DMARC passes"].answer is False
        assert steps["the author's domain asks to reject"].because == "example.com: p=reject"


@pytest.mark.parametrize(("listener", "door"), [("submission", HERE), ("mx", HERE)])
async def test_mail_of_our_people_is_not_examined_but_cleaned(
    tmp_path: Path, listener: str, door: Door
) -> None:
    async with examining(tmp_path, None, door) as server:
        message = FORGED + b"From: bob@proseware.com\r\n\r\nhi\r\n"
        said = await server.talk(
            listener, "EHLO c", "MAIL FROM:<bob@proseware.com>", "RCPT TO:<x@adatum.com>", "DATA",
            message + b".\r\n",
        )  # fmt: skip
        assert said[-1].startswith("250"), said
        assert b"Authentication-Results" not in server.only_content()


async def test_a_client_that_leaves_while_dns_is_asked_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    asked = asyncio.Event()

    async def slow(name: str, kind: str) -> Records:
        asked.set()
        await asyncio.sleep(30)
        return Records()

    async with examining(tmp_path, slow) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
        for line in (*ASK, "DATA", "From: a@example.com\r\n\r\nhi\r\n."):
            writer.write(line.encode() + b"\r\n")
            await reader.readline()
        await asyncio.wait_for(asked.wait(), 5)
        reset = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        writer.transport.abort()
        await wait_until(lambda: not server.service.sessions)
        assert server.queue() == []
        assert server.service.census.contents == 0


async def test_a_second_message_can_follow_an_examined_one(tmp_path: Path) -> None:
    async with examining(tmp_path) as server:
        data = ("DATA", signed() + b".\r\n")
        said = await server.talk("mx", *ASK, *data, *ASK[1:], *data)
        assert [reply[:3] for reply in said[-4:]] == ["250", "250", "354", "250"]
        assert len(server.queue()) == 2


async def test_reports_about_forwarded_mail_find_their_way_and_nothing_else_does(
    tmp_path: Path,
) -> None:
    async with examining(tmp_path) as server:
        server.time = NOON
        path = RETURNS.rewrite(ReversePath(Mailbox("ann", "example.com")), NOON)
        forged = "<SRS0=AAAAAAAA=TT=victim.example=joe@proseware.com>"
        report = ("EHLO c", "MAIL FROM:<>")
        assert (await server.talk("mx", *report, f"RCPT TO:{path}"))[-1].startswith("250")
        assert (await server.talk("mx", *report, f"RCPT TO:{forged}"))[-1].startswith("550")
        assert (await server.talk("mx", *ASK[:2], f"RCPT TO:{path}"))[-1].startswith("550")
