"""Whole sessions over real sockets: from the first octet to the spool, and every way to fail."""

import asyncio
import smtplib
from datetime import timedelta
from pathlib import Path

import pytest

from posthouse.mail.address import Mailbox
from posthouse.policy.rules import Budget, Door, DoorKind, Limits, Passwords
from posthouse.sessions.smtp_service import SmtpLimits
from posthouse.spool.records import StorageError
from posthouse.telemetry.cases import Search
from tests.sessions.post import (
    PASSWORD,
    SIGNED_IN,
    post,
    read_reply,
    rules_with,
    trusting,
    wait_until,
)
from tests.sessions.test_settled import AT_HOME, HERE, auth_plain, codes

MESSAGE = b"From: ann@proseware.com\r\nTo: bob@adatum.com\r\nSubject: hello\r\n\r\nHi Bob.\r\n"
END = b".\r\n"
TO_ANN = ("EHLO c", "MAIL FROM:<x@adatum.com>", "RCPT TO:<ann@proseware.com>", "DATA")


async def test_mail_of_a_signed_in_client_is_accepted_and_spooled(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")

        def send(client: smtplib.SMTP) -> object:
            client.login("ann@proseware.com", PASSWORD)
            return client.sendmail("ann@proseware.com", ["bob@adatum.com"], MESSAGE)

        assert await server.client("submissions", send) == {}
        assert server.queue() == [("<ann@proseware.com>", ["bob@adatum.com"])]
        content = server.only_content()
        assert content.endswith(MESSAGE)
        assert b"with ESMTPSA id" in content
        assert b"for <bob@adatum.com>" in content
        assert b"Message-ID: <" in content
        assert b"\r\nDate: " in content


async def test_starttls_then_sign_in(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")

        def send(client: smtplib.SMTP) -> object:
            client.starttls(context=trusting())
            client.login("ann@proseware.com", PASSWORD)
            return client.sendmail("ann@proseware.com", ["bob@adatum.com"], MESSAGE)

        assert await server.client("submission", send) == {}
        assert len(server.queue()) == 1


async def test_what_is_pipelined_behind_starttls_is_forgotten(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        said = await server.talk("mx", "EHLO c", b"STARTTLS\r\nMAIL FROM:<ann@proseware.com>\r\n")
        assert codes(said) == ["220", "250", "220"]
        assert server.cases.search(Search()) == ()


async def test_on_mx_nothing_is_added_but_the_received_field(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        await server.talk("mx", *TO_ANN, b"Subject: x\r\n\r\nbody\r\n" + END)
        content = server.only_content()
        assert content.startswith(b"Received: from c ([127.0.0.1])\r\n\tby mail.proseware.com")
        assert content.endswith(b"\r\nSubject: x\r\n\r\nbody\r\n")
        assert b"Message-ID" not in content
        assert b"Date:" not in content


async def test_the_250_carries_the_id_of_the_message(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        said = await server.talk("mx", *AT_HOME, "DATA", MESSAGE + END)
        (message,) = server.spool.list_messages()
        assert said[-1] == f"250 2.6.0 Message accepted as {message.id}"
        case = server.cases.search(Search(message=message.id))[0]
        assert case.reply == said[-1]


async def test_several_messages_in_one_session_and_everything_pipelined(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
        one = b"".join(line.encode() + b"\r\n" for line in (*AT_HOME[1:], "DATA")) + MESSAGE + END
        writer.write(b"EHLO c\r\n" + one * 20 + b"QUIT\r\n")
        said = [await read_reply(reader) for _ in range(2 + 20 * 4 + 1)]
        assert codes(said) == ["220", "250"] + ["250", "250", "354", "250"] * 20 + ["221"]
        assert await reader.read() == b""
        writer.close()
        assert len(server.queue()) == 20


# -------------------------------------------------------------------------------- signing in


@pytest.mark.parametrize("name", ["ann@proseware.com", "nobody@proseware.com"])
async def test_wrong_passwords_and_unknown_names_sound_the_same(tmp_path: Path, name: str) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk("devices", "EHLO c", auth_plain(name, "wrong"))
        assert said[2].startswith("535-5.7.8 Name or password is wrong\n535 5.7.8 [sign-in-failed]")
        case = server.cases.search(Search(reason="sign-in-failed"))[0]
        assert case.account == name


async def test_too_many_failed_sign_ins_close_the_session_and_lock_the_account(
    tmp_path: Path,
) -> None:
    limits = SmtpLimits(sign_in_failures_max=3)
    async with post(tmp_path, rules_with(SIGNED_IN), limits) as server:
        server.add_account("ann@proseware.com")
        server.verifier.lockout.budget = Budget(3, timedelta(minutes=10))
        wrong = auth_plain(password="wrong")
        said = await server.talk("devices", "EHLO c", wrong, wrong, wrong, "NOOP")
        assert codes(said)[2:] == ["535", "535", "421", ""]
        locked = await server.talk("devices", "EHLO c", auth_plain())
        assert locked[2].startswith("454-4.7.0 Too many failed sign-ins")


async def test_login_asks_for_name_and_password(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk(
            "devices", "EHLO c", "AUTH LOGIN", "YW5uQHByb3Nld2FyZS5jb20=", "d3Jvbmc=", auth_plain()
        )
        assert codes(said) == ["220", "250", "334", "334", "535", "235"]
        again = await server.talk("devices", "EHLO c", auth_plain(), auth_plain())
        assert codes(again)[-1] == "503"


async def test_nobody_acts_for_another(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")

        def login(client: smtplib.SMTP) -> int:
            client.ehlo()
            client.user, client.password = "ann@proseware.com", PASSWORD
            return client.auth(
                "PLAIN", lambda _=None: f"boss@proseware.com\0ann@proseware.com\0{PASSWORD}"
            )[0]

        with pytest.raises(smtplib.SMTPAuthenticationError):
            await server.client("submissions", login)


async def test_a_cancelled_sign_in_leaves_the_session_usable(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk("devices", "EHLO c", "AUTH PLAIN", "*", auth_plain(), AT_HOME[1])
        assert codes(said) == ["220", "250", "334", "501", "235", "250"]


# -------------------------------------------------------------------------------- content


async def test_too_big_a_message_is_drained_and_refused_and_nothing_is_spooled(
    tmp_path: Path,
) -> None:
    rules = rules_with(HERE, limits=Limits(message_octets=10_000))
    async with post(tmp_path, rules) as server:
        said = await server.talk(
            "mx", *AT_HOME, "DATA", MESSAGE + b"x" * 70 + b"\r\n" + END, "NOOP"
        )
        assert codes(said)[-2:] == ["250", "250"]
        big = MESSAGE + (b"y" * 70 + b"\r\n") * 2_000 + END
        said = await server.talk("mx", *AT_HOME, "DATA", big, "NOOP")
        assert said[-2].startswith("552-5.3.4 The message is too big: at most 0.01 MB")
        assert said[-1].startswith("250")
        assert len(server.queue()) == 1
        declared = await server.talk("mx", "EHLO c", "MAIL FROM:<ann@proseware.com> SIZE=10001")
        assert declared[-1].startswith("552")


async def test_a_header_larger_than_what_is_read_is_refused(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        header = b"From: ann@proseware.com\r\n" + b"X-A: b\r\n" * 10_000
        said = await server.talk("mx", *AT_HOME, "DATA", header + b"\r\nbody\r\n" + END)
        assert "header section is larger than 64 KiB" in said[-1]
        assert server.queue() == []


async def test_a_large_message_keeps_every_octet(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        body = (b"z" * 76 + b"\r\n") * 20_000
        said = await server.talk("mx", *AT_HOME, "DATA", MESSAGE + body + END)
        assert codes(said)[-1] == "250"
        assert server.only_content().endswith(MESSAGE + body)


@pytest.mark.parametrize("bad", [b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n"])
async def test_bare_newlines_and_nul_are_refused_after_the_content(
    tmp_path: Path, bad: bytes
) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        said = await server.talk("mx", *AT_HOME, "DATA", MESSAGE + bad + END)
        assert said[-1].startswith("550-5.6.0 The message breaks the format")
        assert server.queue() == []


async def test_a_mail_loop_is_refused(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        loop = b"Received: from a by b; x\r\n" * 31 + MESSAGE
        said = await server.talk("mx", *AT_HOME, "DATA", loop + END)
        assert said[-1].startswith("554-5.4.6")


@pytest.mark.parametrize(("kind", "code"), [("full", "452-4.3.1"), ("broken", "451-4.3.0")])
async def test_a_spool_that_fails_is_answered_4xx(
    tmp_path: Path, kind: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:

        def fail(arrival: object, done: object) -> None:
            done(StorageError(kind, "no room"))  # type: ignore[operator, arg-type]

        monkeypatch.setattr(server.spool, "shelve", fail)
        said = await server.talk("mx", *AT_HOME, "DATA", MESSAGE + END, "NOOP")
        assert said[-2].startswith(code)
        assert said[-1].startswith("250")


async def test_reset_and_hang_up_leave_nothing_behind(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        said = await server.talk("mx", *AT_HOME, "RSET", "DATA")
        assert codes(said)[-2:] == ["250", "503"]
        for piece in (MESSAGE, MESSAGE + b"x" * 400_000):
            _, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
            writer.write("\r\n".join((*AT_HOME, "DATA", "")).encode() + piece)
            await writer.drain()
            writer.transport.abort()
        await wait_until(lambda: server.service.census.sessions == 0)
        assert server.queue() == []
        assert list((tmp_path / "spool" / "large").iterdir()) == []


async def test_a_client_that_closes_its_half_still_gets_its_250(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
        writer.write("\r\n".join((*AT_HOME, "DATA", "")).encode() + MESSAGE + END)
        writer.write_eof()
        said = (await asyncio.wait_for(reader.read(), 10)).decode()
        assert "250 2.6.0 Message accepted" in said
        writer.close()


# -------------------------------------------------------------------------------- recipients


async def test_postmaster_always_exists(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.service.postmaster = Mailbox("postmaster", "proseware.com")
        paths = ("postmaster", "Postmaster@proseware.com", "postmaster@mail.proseware.com")
        for path in paths:
            said = await server.talk("mx", *TO_ANN[:2], f"RCPT TO:<{path}>")
            assert codes(said)[-1] == "250", path
        said = await server.talk("mx", *TO_ANN[:2], "RCPT TO:<abuse@mail.proseware.com>")
        assert codes(said)[-1] == "550"


async def test_unknown_people_are_refused_by_name_and_plus_tags_are_known(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk(
            "mx", *TO_ANN[:2], "RCPT TO:<bob@proseware.com>", "RCPT TO:<ann+shop@proseware.com>"
        )
        assert said[-2].startswith("550-5.1.1 There is no mailbox bob@proseware.com here")
        assert codes(said)[-1] == "250"


async def test_a_domain_that_is_passed_on_takes_everybody_but_no_routes(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        said = await server.talk(
            "mx", *TO_ANN[:2], "RCPT TO:<any@school.example>", "RCPT TO:<a%b@school.example>"
        )
        assert codes(said)[-2:] == ["250", "550"]


async def test_a_submission_password_can_be_all_that_a_door_takes(tmp_path: Path) -> None:
    door = Door(DoorKind.SIGNED_IN, "apps", passwords=Passwords.SUBMISSION)
    async with post(tmp_path, rules_with(door)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk("devices", "EHLO c", auth_plain(), AT_HOME[1])
        assert codes(said)[-2:] == ["235", "530"]
