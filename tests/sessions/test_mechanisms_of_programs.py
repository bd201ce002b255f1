"""msmtp and mpop sign in by every mechanism that they know, as they are made elsewhere."""

import asyncio
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from posthouse.accounts.answers import TokenError
from posthouse.accounts.passwords import add_account
from posthouse.accounts.verifier import Sources
from posthouse.mail.address import parse_mailbox
from posthouse.mailbox import maildir
from posthouse.telemetry.events import SignedIn
from tests.sessions.post import LISTENERS, SIGNED_IN, post, rules_with
from tests.sessions.test_pop3_sign_in import talking

pytestmark = pytest.mark.peer
PASSWORD = "correct horse"
MAIL = b"From: <ann@proseware.com>\r\nTo: <far@far.example>\r\nSubject: tea\r\n\r\nAt four.\r\n"
ALL = (
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "OAUTHBEARER",
    "XOAUTH2",
)
MESSAGE = b"Subject: tea\r\n\r\nAt four.\r\n"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not here")


class Tokens:
    async def holder(self, token: str) -> str:
        if token != "good":
            raise TokenError("unknown")
        return "ann@proseware.com"


async def run(*command: str, given: bytes = b"") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(given), 20)
    return process.returncode or 0, out.decode("utf-8", "replace")


def common(port: int, mechanism: str, password: str) -> list[str]:
    return [
        "--host=127.0.0.1",
        f"--port={port}",
        f"--auth={mechanism}",
        f"--passwordeval=printf %s '{password}'",
        "--tls=on",
        "--tls-starttls=off",
        "--tls-certcheck=off",
    ]


@needs("msmtp")
@pytest.mark.parametrize(
    "mechanism", ["plain", "login", "scram-sha-256", "cram-md5", "oauthbearer", "xoauth2", "on"]
)
async def test_msmtp_sends(tmp_path: Path, mechanism: str) -> None:
    rules = rules_with(SIGNED_IN)
    listeners = {it.name: replace(it, mechanisms=ALL) for it in LISTENERS}
    async with post(tmp_path, replace(rules, listeners=listeners)) as opened:
        opened.verifier.sources = Sources(tokens=Tokens(), keeps_plain=True)
        add_account(opened.accounts, parse_mailbox("ann@proseware.com"), PASSWORD)
        if mechanism == "cram-md5":
            opened.accounts.set_password("ann", "{PLAIN}" + PASSWORD)
        right = "good" if "oauth" in mechanism else PASSWORD
        for password, works in (("wrong", False), (right, True)):
            command = common(opened.ports["submissions"], mechanism, password)
            named = ["--user=ann@proseware.com", "--from=ann@proseware.com"]
            code, printed = await run("msmtp", *command, *named, "far@far.example", given=MAIL)
            assert (code == 0) is works, printed
        assert len(opened.queue()) == 1
        told = [it for it in opened.events if isinstance(it, SignedIn)]
        assert [it.account for it in told] == ["ann@proseware.com"]


@needs("mpop")
@pytest.mark.parametrize(
    "mechanism", ["user", "plain", "scram-sha-256", "cram-md5", "apop", "oauthbearer", "xoauth2"]
)
async def test_mpop_fetches(tmp_path: Path, mechanism: str) -> None:
    stored = "{PLAIN}" + PASSWORD if mechanism in ("cram-md5", "apop") else ""
    place = tmp_path / "server"
    place.mkdir()
    async with talking(place, mechanisms=(*ALL, "APOP"), stored=stored) as (_, world):
        maildir.deliver(world.mailbox(), [MESSAGE], id="1")
        right = "good" if "oauth" in mechanism else PASSWORD
        for password, works in (("wrong", False), (right, True)):
            command = common(world.port, mechanism, password)
            kept = f"--delivery=mbox,{tmp_path}/mbox"
            more = ["--user=ann@example.com", kept, f"--uidls-file={tmp_path}/uidls"]
            code, printed = await run("mpop", *command, *more)
            assert (code == 0) is works, printed
        assert b"Subject: tea" in (tmp_path / "mbox").read_bytes()
