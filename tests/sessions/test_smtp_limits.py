"""Limits of sessions, budgets, and mail that is held: over real sockets."""

import asyncio
from datetime import timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from posthouse.authentication.lookups import LookUpError, Records, RecordType
from posthouse.mail.address import Mailbox
from posthouse.policy.rules import Budget, CheckRule, Limits
from posthouse.protocol.smtp.offer import SessionLimits
from posthouse.sessions.authenticity import Examiner
from posthouse.sessions.held import HeldNotices
from posthouse.sessions.scanning import GTUBE, RecipientBudgetCheck
from posthouse.sessions.smtp_service import SmtpLimits
from posthouse.telemetry.cases import Search
from posthouse.telemetry.events import BugMet
from tests.sessions.post import SIGNED_IN, Post, post, read_reply, rules_with, wait_until
from tests.sessions.test_settled import AT_HOME, HERE, codes
from tests.sessions.test_smtp import END, MESSAGE, TO_ANN

# -------------------------------------------------------------------------------- limits


async def test_sessions_of_one_address_are_limited_with_421(tmp_path: Path) -> None:
    rules = rules_with(HERE, limits=Limits(sessions_per_address=2))
    async with post(tmp_path, rules) as server:
        opened = [await asyncio.open_connection("127.0.0.1", server.ports["mx"]) for _ in range(2)]
        for reader, _ in opened:
            assert (await read_reply(reader)).startswith("220")
        said = await server.talk("mx")
        assert said[0].startswith("421-4.7.0 Too many sessions from your address")
        for _, writer in opened:
            writer.close()
        await wait_until(lambda: server.service.census.sessions == 0)
        assert (await server.talk("mx"))[0].startswith("220")


async def test_a_silent_client_is_told_421_and_let_go(tmp_path: Path) -> None:
    limits = SmtpLimits(command_wait=timedelta(seconds=0.1))
    async with post(tmp_path, rules_with(HERE), limits) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
        assert (await read_reply(reader)).startswith("220")
        assert (await read_reply(reader)).startswith("421 4.4.2")
        writer.close()


async def test_who_drips_content_is_let_go(tmp_path: Path) -> None:
    limits = SmtpLimits(content_wait=timedelta(seconds=0.15))
    async with post(tmp_path, rules_with(HERE), limits) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
        writer.write("\r\n".join((*AT_HOME, "DATA", "")).encode())
        for _ in range(5):
            await read_reply(reader)
        for _ in range(20):
            writer.write(b"x")
            await asyncio.sleep(0.02)
        assert (await read_reply(reader)).startswith("421 4.4.2")
        writer.close()
        assert server.queue() == []


async def test_who_sends_one_chunk_after_another_is_not_idle(tmp_path: Path) -> None:
    limits = SmtpLimits(command_wait=timedelta(seconds=1))
    async with post(tmp_path, rules_with(HERE), limits) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
        writer.write("\r\n".join((*AT_HOME, "")).encode())
        for _ in range(4):
            await read_reply(reader)
        for _ in range(7):
            writer.write(b"BDAT 6\r\na: b\r\n")
            assert (await read_reply(reader)).startswith("250")
            await asyncio.sleep(0.2)
        last = b"From: <ann@proseware.com>\r\n\r\n"
        writer.write(b"BDAT %d LAST\r\n%b" % (len(last), last))
        assert (await read_reply(reader)).startswith("250")
        writer.close()


async def no_records(name: str, kind: RecordType) -> Records:
    raise LookUpError(f"{name} {kind}")


class NeverDone(Examiner):
    """Examines for ever: as a bug would."""

    def examine(self, *_: object) -> None:
        return


async def test_an_answer_of_ours_that_never_comes_ends_the_session(tmp_path: Path) -> None:
    limits = SmtpLimits(content_wait=timedelta(seconds=0.15))
    async with post(tmp_path, rules_with(SIGNED_IN), limits) as server:
        server.add_account("ann@proseware.com")
        server.service.examiner = NeverDone(no_records, server.events.append)
        said = await server.talk("mx", *TO_ANN, MESSAGE + END)
        assert said[-1].startswith("421 4.3.0")
        assert server.queue() == []


async def test_errors_are_limited(tmp_path: Path) -> None:
    limits = SmtpLimits(core=SessionLimits(errors_max=3), refusals_max=2)
    async with post(tmp_path, rules_with(HERE), limits) as server:
        said = await server.talk("mx", *["NONSENSE"] * 4, "NOOP")
        assert codes(said) == ["220", "500", "500", "500", "421", ""]
        guesses = [f"RCPT TO:<guess{number}@proseware.com>" for number in range(3)]
        said = await server.talk("mx", *AT_HOME[:2], *guesses)
        assert codes(said)[-3:] == ["550", "550", "421"]


async def test_a_flood_of_pipelined_commands_is_held_back_not_kept(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
        writer.write(b"EHLO c\r\n" + b"NOOP\r\n" * 200_000)
        said = (await asyncio.wait_for(reader.read(), 10)).decode()
        assert "421 4.7.0" in said
        assert said.count("250 2.0.0 Ok") <= 100
        writer.close()


async def test_budgets_defer_and_a_check_may_hold_instead(tmp_path: Path) -> None:
    limits = Limits(address_recipients=Budget(2, timedelta(hours=1)))
    more = [f"RCPT TO:<b{number}@adatum.com>" for number in range(3)]
    async with post(tmp_path, rules_with(HERE, limits=limits)) as server:
        said = await server.talk("mx", *AT_HOME[:2], *more, "DATA", MESSAGE + END)
        assert codes(said)[3:] == ["250", "250", "450", "354", "250"]
        later = await server.talk("mx", *AT_HOME)
        assert "[address-recipient-budget]" in later[-1]
        check = CheckRule("rush", ask="recipient-budget")
        server.service.rules = rules_with(HERE, limits=limits, checks={"rush": check})
        server.service.checks = (RecipientBudgetCheck("rush", limits),)
        held = await server.talk("mx", *AT_HOME, "DATA", MESSAGE + END)
        assert held[-1].startswith("250-2.6.0 Message kept as")


async def test_only_so_many_messages_may_arrive_at_the_same_moment(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE), SmtpLimits(contents_max=1)) as server:
        first = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
        first[1].write("\r\n".join((*AT_HOME, "DATA", "")).encode())
        assert codes([await read_reply(first[0]) for _ in range(5)])[-1] == "354"
        said = await server.talk("mx", *AT_HOME, "DATA")
        assert said[-1].startswith("452-4.3.1")
        first[1].write(MESSAGE + END)
        assert (await read_reply(first[0])).startswith("250")
        first[1].close()
        said = await server.talk("mx", *AT_HOME, "DATA")
        assert codes(said)[-1] == "354"
        await wait_until(lambda: server.service.census.contents == 0)


async def test_chunks_are_counted_among_the_messages_that_arrive(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE), SmtpLimits(contents_max=0)) as server:
        said = await server.talk("mx", *AT_HOME, b"BDAT 4\r\na: b", b"BDAT 2 LAST\r\n\r\n")
        assert codes(said)[-2:] == ["250", "452"]
        assert server.service.census.contents == 0
        server.service.limits = SmtpLimits()
        said = await server.talk(
            "mx", *AT_HOME, b"BDAT 31 LAST\r\nFrom: ann@proseware.com\r\n\r\nhi\r\n "
        )
        assert codes(said)[-1] == "250"
        await wait_until(lambda: server.service.census.contents == 0)


async def test_who_connects_too_often_is_told_421(tmp_path: Path) -> None:
    budget = Budget(2, timedelta(hours=1))
    rules = rules_with(HERE, limits=Limits(address_connections=budget))
    async with post(tmp_path, rules) as server:
        server.service.census.budget = budget
        assert codes([(await server.talk("mx"))[0] for _ in range(3)]) == ["220", "220", "421"]
        assert "[address-connection-budget]" in (await server.talk("mx"))[0]


async def test_a_flood_of_recipients_ends(tmp_path: Path) -> None:
    limits = SmtpLimits(core=SessionLimits(recipients_max=150))
    async with post(tmp_path, rules_with(HERE), limits) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
        asked = b"".join(b"RCPT TO:<b%d@adatum.com>\r\n" % number for number in range(5000))
        writer.write("\r\n".join((*AT_HOME[:2], "")).encode() + asked)
        said = (await asyncio.wait_for(reader.read(), 10)).decode()
        assert said.count("250 2.1.5") == 100
        assert "421 4.5.3 Too many recipients" in said
        assert said.count("\n452-") == 50
        writer.close()


async def test_a_recipient_counts_as_often_as_it_is_said(tmp_path: Path) -> None:
    rules = rules_with(HERE, limits=Limits(recipients_per_message=3))
    async with post(tmp_path, rules) as server:
        said = await server.talk("mx", *AT_HOME, *AT_HOME[-1:] * 3)
        assert codes(said)[-4:] == ["250", "250", "250", "452"]


async def test_a_flood_of_resets_and_greetings_ends(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        for flood in (b"RSET\r\n", b"EHLO c\r\n", b"VRFY x\r\n", b"MAIL FROM:<>\r\nRSET\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
            writer.write(b"EHLO c\r\n" + flood * 3000)
            said = (await asyncio.wait_for(reader.read(), 10)).decode()
            assert "421 4.7.0 Too many commands and no mail" in said
            writer.close()


async def test_a_flood_of_small_chunks_ends(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        for flood in (b"BDAT 0\r\n", b"BDAT 1\r\nx"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["mx"])
            writer.write("\r\n".join((*AT_HOME, "")).encode() + flood * 3000)
            said = (await asyncio.wait_for(reader.read(), 10)).decode()
            assert said.count(" octets received\r\n") == 500
            assert "421 4.7.0 Too many chunks" in said
            writer.close()


async def test_a_flood_of_sign_ins_ends(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["devices"])
        writer.write(b"EHLO c\r\n" + b"AUTH PLAIN\r\n*\r\n" * 300)
        said = (await asyncio.wait_for(reader.read(), 10)).decode()
        assert said.rstrip().split("\n")[-1].startswith("421 4.7.0")
        assert said.count("501 5.7.0") <= 20
        writer.close()


async def test_a_bug_of_ours_costs_one_session_and_is_told(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        broken = server.service.counts
        server.service.counts = None  # type: ignore[assignment]
        said = await server.talk("mx", *AT_HOME)
        assert said[-1].startswith("421 4.3.0 An error in this server")
        bugs = [event for event in server.events if isinstance(event, BugMet)]
        assert "smtp_mail.py" in bugs[0].problem
        server.service.counts = broken
        assert codes(await server.talk("mx", *AT_HOME))[-1] == "250"


# -------------------------------------------------------------------------------- held mail

SPAM = {"spam": CheckRule("spam", found="hold")}


async def hold(server: Post, listener: str, *lines: str) -> str:
    content = MESSAGE + GTUBE + b"\r\n" + END
    return (await server.talk(listener, *lines, "DATA", content))[-1]


async def test_a_known_sender_of_held_mail_is_told_once_an_hour(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE, checks=SPAM)) as server:
        for _ in range(3):
            said = await hold(server, "mx", *AT_HOME)
            assert "[looks-like-spam] case" in said
        server.spool.flush()
        notices = [message for message in server.spool.list_messages() if not message.hold]
        assert [it.envelope.recipients[0].mailbox for it in notices] == [
            Mailbox("ann", "proseware.com")
        ]
        assert notices[0].envelope.reverse_path.is_null
        text = server.spool.content_octets(notices[0].id)
        case = server.cases.search(Search(reason="looks-like-spam"))[-1]
        assert case.id.encode() in text


async def test_a_notice_says_in_the_senders_language_why_mail_is_held(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE, checks=SPAM)) as server:
        assert isinstance(server.service.held, HeldNotices)
        server.service.held.language_for = lambda *_: "zh_Hans"
        await hold(server, "mx", *AT_HOME)
        server.spool.flush()
        (notice,) = [it for it in server.spool.list_messages() if not it.hold]
        report = message_from_bytes(server.spool.content_octets(notice.id))
        words = report.get_payload(0)
        assert isinstance(words, Message)
        assert words["Content-Language"] == "zh-Hans"
        text = words.get_payload(decode=True)
        assert isinstance(text, bytes)
        assert "认为它像垃圾邮件" in text.decode()
        assert "原因 looks-like-spam" in text.decode()


async def test_a_stranger_is_never_sent_a_notice(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN, checks=SPAM)) as server:
        server.add_account("ann@proseware.com")
        said = await hold(server, "mx", *TO_ANN[:3])
        assert said.startswith("250-2.6.0 Message kept as")
        server.spool.flush()
        assert [message.hold for message in server.spool.list_messages()] == [
            "looks-like-spam (spam)"
        ]


async def test_spam_is_refused_where_the_entry_says_so_and_marked_where_it_says_so(
    tmp_path: Path,
) -> None:
    refused = {"spam": CheckRule("spam", found="refuse")}
    async with post(tmp_path, rules_with(HERE, checks=refused)) as server:
        assert (await hold(server, "mx", *AT_HOME)).startswith("550-5.7.1 The message looks like")
        server.service.rules = rules_with(HERE, checks={"spam": CheckRule("spam", found="mark")})
        assert (await hold(server, "mx", *AT_HOME)).startswith("250 2.6.0")
        assert b"\r\nX-Screening: spam; the GTUBE test string\r\n" in server.only_content()
