"""Mail programs of other makers fetch mail from us: poplib, curl, mpop."""

import asyncio
import poplib
import shutil
from pathlib import Path

import pytest

from posthouse.mailbox import maildir
from posthouse.sessions.pop3_service import TlsRule
from tests.sessions.pop3_world import AUTHORITY, World, client_context, pop3_world

MESSAGE = b"Subject: tea\r\n\r\nAt four.\r\n.\r\n..end\r\n"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not here")


async def run(*command: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, (out + err).decode()
    return out


def certificate(directory: Path) -> str:
    path = directory / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return str(path)


def deliver(world: World) -> None:
    for number in (1, 2):
        maildir.deliver(world.mailbox(), [MESSAGE], id=str(number))


def fetched_by_poplib(program: poplib.POP3) -> tuple[int, list[bytes], list[bytes]]:
    program.user("ann@example.com")
    program.pass_("secret")
    count, _ = program.stat()
    assert program.list()[1] == [b"1 %d" % len(MESSAGE), b"2 %d" % len(MESSAGE)]
    lines = program.retr(1)[1]
    assert program.top(1, 0)[1] == [b"Subject: tea", b""]
    uids = program.uidl()[1]
    program.dele(2)
    program.rset()
    program.dele(1)
    program.quit()
    return count, lines, uids


@pytest.mark.parametrize("rule", [TlsRule.OFFERED, TlsRule.BEFORE_SIGN_IN, TlsRule.FROM_START])
async def test_poplib_fetches_and_deletes(tmp_path: Path, rule: TlsRule) -> None:
    def program(port: int) -> poplib.POP3:
        if rule is TlsRule.FROM_START:
            return poplib.POP3_SSL("localhost", port, context=client_context(), timeout=10)
        plain = poplib.POP3("localhost", port, timeout=10)
        if rule is TlsRule.BEFORE_SIGN_IN:
            assert "STLS" in plain.capa()
            plain.stls(client_context())
        return plain

    async with pop3_world(tmp_path, rule) as world:
        deliver(world)
        count, lines, uids = await asyncio.to_thread(lambda: fetched_by_poplib(program(world.port)))
        assert count == len(set(uids)) == 2
        assert lines == MESSAGE.splitlines()
        assert len(world.names()) == 1


@needs("curl")
@pytest.mark.peer
@pytest.mark.parametrize(
    ("rule", "scheme", "options"),
    [
        (TlsRule.OFFERED, "pop3", []),
        (TlsRule.OFFERED, "pop3", ["--login-options", "AUTH=LOGIN"]),
        (TlsRule.OFFERED, "pop3", ["--sasl-ir"]),
        (TlsRule.BEFORE_SIGN_IN, "pop3", ["--ssl-reqd"]),
        (TlsRule.FROM_START, "pop3s", []),
    ],
)
async def test_curl_lists_and_fetches(
    tmp_path: Path, rule: TlsRule, scheme: str, options: list[str]
) -> None:
    async with pop3_world(tmp_path, rule) as world:
        deliver(world)
        curl = ["curl", "-sS", "--noproxy", "*", "--max-time", "10", *options]
        curl += ["--cacert", certificate(tmp_path), "-u", "ann@example.com:secret"]
        place = f"{scheme}://127.0.0.1:{world.port}/"
        size = len(MESSAGE)
        assert await run(*curl, place) == b"1 %d\r\n2 %d\r\n" % (size, size)
        assert await run(*curl, place + "1") == MESSAGE
        await run(*curl, "-X", "DELE 1", "-I", place)
        assert len(world.names()) == 1


@needs("mpop")
@pytest.mark.peer
@pytest.mark.parametrize("rule", [TlsRule.BEFORE_SIGN_IN, TlsRule.FROM_START])
async def test_mpop_fetches_what_is_new_and_deletes_it(tmp_path: Path, rule: TlsRule) -> None:
    async with pop3_world(tmp_path / "server", rule) as world:
        deliver(world)
        inbox = tmp_path / "inbox"
        maildir.create(inbox)
        await run(
            "mpop",
            "--host=127.0.0.1",
            f"--port={world.port}",
            "--tls=on",
            f"--tls-starttls={'off' if rule is TlsRule.FROM_START else 'on'}",
            f"--tls-trust-file={certificate(tmp_path)}",
            "--auth=plain",
            "--user=ann@example.com",
            "--passwordeval=echo secret",
            f"--uidls-file={tmp_path / 'uidls'}",
            f"--delivery=maildir,{inbox}",
            "--keep=off",
            "--half-quiet",
        )
        assert len(maildir.entries(inbox)) == 2
        assert world.names() == []
