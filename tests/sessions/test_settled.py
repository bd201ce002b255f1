"""DESIGN.md section 4, "Settled", sentence by sentence, over the wire."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from posthouse.mail.address import Mailbox
from posthouse.policy.facts import WatchedName
from posthouse.policy.rules import AddressSet, Door, DoorKind
from posthouse.sessions.wording_fields import SiteWords
from posthouse.telemetry.cases import Search
from tests.sessions.post import PASSWORD, SIGNED_IN, post, read_reply, rules_with

POP_WINDOW = Door(DoorKind.POP_WINDOW, "pop-window")
HERE = Door(DoorKind.NETWORK, "here", networks=("127.0.0.0/8",))
LOCALHOST = ip_address("127.0.0.1")
MAIL = ("MAIL FROM:<ann@proseware.com>", "RCPT TO:<bob@adatum.com>")
AT_HOME = ("EHLO c", *MAIL)


def codes(replies: list[str]) -> list[str]:
    return [reply[:3] for reply in replies]


def auth_plain(name: str = "ann@proseware.com", password: str = PASSWORD) -> str:
    return "AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()).decode()


# -------------------------------------------------------------------------------- listeners


async def test_on_mx_anyone_may_bring_mail_for_local_domains(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk(
            "mx", "EHLO c", "MAIL FROM:<x@adatum.com>", "RCPT TO:<ann@proseware.com>"
        )
        assert codes(said) == ["220", "250", "250", "250"]


async def test_on_mx_also_with_one_of_our_own_domains_as_reverse_path(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk("mx", *AT_HOME[:2], "RCPT TO:<ann@proseware.com>")
        assert codes(said)[-1] == "250"


async def test_on_mx_a_foreign_recipient_needs_a_door_and_the_refusal_names_it(
    tmp_path: Path,
) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk(
            "mx", *AT_HOME, "RCPT TO:<ann@proseware.com>", "DATA", b"Subject: x\r\n\r\nx\r\n.\r\n"
        )
        assert codes(said) == ["220", "250", "250", "550", "250", "354", "250"]
        assert "adatum.com" in said[3]
        assert "[not-recognised] case " in said[3]
        assert server.queue() == [("<ann@proseware.com>", ["ann@proseware.com"])]


async def test_on_submission_nothing_is_taken_before_a_door_also_for_local_recipients(
    tmp_path: Path,
) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        said = await server.talk("submission", "EHLO c", "MAIL FROM:<ann@proseware.com>")
        assert said[2].startswith("530-5.7.0 Please sign in first: with your mail address")
        assert "after STARTTLS" in said[2]


# -------------------------------------------------------------------------------- doors


async def test_auth_is_offered_where_a_door_is_valid_and_tls_is_as_the_rule_wants(
    tmp_path: Path,
) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        for listener, offered in (("mx", False), ("submission", False), ("devices", True)):
            said = await server.talk(listener, "EHLO c")
            assert ("AUTH SCRAM-SHA-256 PLAIN LOGIN" in said[1]) is offered, listener
        encrypted = await server.client("submissions", lambda it: (it.ehlo(), it.esmtp_features)[1])
        names = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]
        assert encrypted["auth"].split() == names


async def test_auth_before_tls_is_refused_where_the_rule_is_before_sign_in(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk("submission", "EHLO c", auth_plain())
        assert said[2].startswith("538 5.7.11")


async def test_on_mx_auth_is_offered_only_when_a_door_names_it(tmp_path: Path) -> None:
    door = Door(DoorKind.SIGNED_IN, "old programs", listeners=frozenset({"mx"}))
    async with post(tmp_path, rules_with(door)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk("mx", "EHLO c", auth_plain(), *MAIL)
        assert codes(said) == ["220", "250", "235", "250", "250"]
        elsewhere = await server.talk("devices", "EHLO c", auth_plain())
        assert codes(elsewhere) == ["220", "250", "502"]  # nor would it help after STARTTLS


async def test_recipients_of_one_message_are_decided_one_by_one(tmp_path: Path) -> None:
    school = AddressSet(domains=frozenset({"school.example", "adatum.com"}))
    door = Door(DoorKind.NETWORK, "printers", networks=("127.0.0.1",), sends_to=school)
    async with post(tmp_path, rules_with(door)) as server:
        said = await server.talk(
            "mx", *AT_HOME, "RCPT TO:<c@else.example>", "RCPT TO:<d@school.example>"
        )
        assert codes(said)[3:] == ["250", "550", "250"]
        assert "[recipient-not-in-door]" in said[4]


# ---------------------------------------------------------------- whom a door recognises


async def test_a_pop_window_opens_for_the_accounts_own_addresses_only(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(POP_WINDOW)) as server:
        server.add_account("ann@proseware.com")
        server.add_account("bob@proseware.com")
        server.pop_sign_ins.note(LOCALHOST, "ann@proseware.com", server.now())
        assert codes(await server.talk("mx", *AT_HOME))[-1] == "250"
        neighbour = await server.talk(
            "mx", "EHLO c", "MAIL FROM:<bob@proseware.com>", "RCPT TO:<bob@adatum.com>"
        )
        assert neighbour[3].startswith("550")
        assert "[pop-window-other-sender]" in neighbour[3]


async def test_the_record_of_a_window_names_account_and_address(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(POP_WINDOW)) as server:
        server.add_account("ann@proseware.com")
        server.pop_sign_ins.note(LOCALHOST, "ann@proseware.com", server.now())
        await server.talk("mx", *AT_HOME, "RSET")
        case = server.cases.search(Search(reason="pop-window-open"))[0]
        assert case.client == "127.0.0.1"
        assert case.subject == "ann@proseware.com"


async def test_an_ended_window_is_told_from_a_stranger(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(POP_WINDOW)) as server:
        server.add_account("ann@proseware.com")
        server.pop_sign_ins.note(
            LOCALHOST, "ann@proseware.com", server.now() - timedelta(minutes=33)
        )
        said = await server.talk("mx", *AT_HOME)
        assert "Mail was last fetched from your address 33 min ago" in said[3]
        assert "[pop-window-ended]" in said[3]


async def test_a_network_may_write_as_every_address_in_the_local_domains(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        said = await server.talk("mx", *AT_HOME)
        assert codes(said)[-1] == "250"
        foreign = await server.talk("mx", "EHLO c", "MAIL FROM:<x@else.example>")
        assert "you may use @proseware.com or @school.example" in foreign[2]


async def test_a_network_with_senders_of_its_own_may_write_as_those(tmp_path: Path) -> None:
    scanner = AddressSet(domains=frozenset({"scanner.example"}))
    door = Door(DoorKind.NETWORK, "printers", networks=("127.0.0.1",), sends_as=scanner)
    async with post(tmp_path, rules_with(door)) as server:
        own = await server.talk("mx", "EHLO c", "MAIL FROM:<a@scanner.example>", MAIL[1])
        assert codes(own)[-1] == "250"
        other = await server.talk("mx", *AT_HOME[:2])
        assert "you may use @scanner.example" in other[2]


async def test_a_host_name_recognises_who_it_points_at(tmp_path: Path) -> None:
    door = Door(DoorKind.HOST_NAME, "shop", hosts=frozenset({"shop.dyn.example"}))
    async with post(tmp_path, rules_with(door)) as server:
        assert codes(await server.talk("mx", *AT_HOME))[-1] == "550"
        server.names.seen = (WatchedName("shop.dyn.example", datetime.now(UTC)),)
        assert codes(await server.talk("mx", *AT_HOME))[-1] == "250"


# -------------------------------------------------------------------------------- identity


async def test_identity_holds_for_recognised_clients_and_local_recipients_too(
    tmp_path: Path,
) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        server.add_account("bob@proseware.com")
        said = await server.talk("devices", "EHLO c", auth_plain(), "MAIL FROM:<bob@proseware.com>")
        assert said[3].startswith(
            "550-5.7.1 You may not send as bob@proseware.com; you may use ann@proseware.com"
        )


async def test_identity_never_touches_a_stranger(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        content = b"From: a@proseware.com, b@x.example\r\nFrom: nonsense\r\n\r\nx\r\n.\r\n"
        said = await server.talk("mx", *AT_HOME[:2], "RCPT TO:<ann@proseware.com>", "DATA", content)
        assert codes(said)[-1] == "250"


async def header_reply(tmp_path: Path, header: str, sender: str = "<ann@proseware.com>") -> str:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk(
            "devices",
            "EHLO c",
            auth_plain(),
            f"MAIL FROM:{sender}",
            MAIL[1],
            "DATA",
            header.encode() + b"\r\n\r\nbody\r\n.\r\n",
        )
        assert codes(said)[:6] == ["220", "250", "235", "250", "250", "354"]
        assert (len(server.queue()) == 1) is (said[6][:3] == "250")
        return said[6]


async def test_the_null_reverse_path_is_allowed_and_its_from_still_checked(tmp_path: Path) -> None:
    good = await header_reply(tmp_path, "From: ann@proseware.com", "<>")
    assert good.startswith("250 2.6.0 Message accepted as ")


async def test_a_foreign_from_under_the_null_reverse_path_is_refused(tmp_path: Path) -> None:
    bad = await header_reply(tmp_path, "From: boss@proseware.com", "<>")
    assert bad.startswith("550-5.7.1 You may not write as boss@proseware.com in the From field")
    assert "you may use ann@proseware.com" in bad


async def test_more_than_one_from_is_refused(tmp_path: Path) -> None:
    said = await header_reply(tmp_path, "From: ann@proseware.com\r\nFrom: ann@proseware.com")
    assert "[from-ambiguous]" in said


async def test_several_authors_without_a_sender_are_refused(tmp_path: Path) -> None:
    said = await header_reply(tmp_path, "From: ann@proseware.com, ann+x@proseware.com")
    assert "[from-ambiguous]" in said


async def test_a_from_that_cannot_be_parsed_is_refused(tmp_path: Path) -> None:
    said = await header_reply(tmp_path, "From: ann@proseware.com <boss@x.example")
    assert "[from-unreadable]" in said


async def test_a_missing_from_is_refused(tmp_path: Path) -> None:
    assert "[from-unreadable]" in await header_reply(tmp_path, "Subject: no author")


async def test_replies_to_another_domain_are_refused(tmp_path: Path) -> None:
    said = await header_reply(tmp_path, "From: ann@proseware.com\r\nReply-To: x@evil.example")
    assert said.startswith("550-5.7.1 Replies may not go to x@evil.example (Reply-To field)")
    assert "@proseware.com" in said


# -------------------------------------------------------------------------------- decided when


async def test_a_revoked_password_takes_effect_at_the_next_mail_of_a_running_session(
    tmp_path: Path,
) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["devices"])

        async def ask(line: str) -> str:
            writer.write(line.encode() + b"\r\n")
            return await read_reply(reader)

        await reader.readline()
        await ask("EHLO c")
        assert (await ask(auth_plain())).startswith("235")
        assert (await ask(MAIL[0])).startswith("250")
        server.accounts.disable("ann@proseware.com")
        assert (await ask(MAIL[1])).startswith("250")  # this transaction began before
        await ask("RSET")
        assert (await ask(MAIL[0])).startswith("530")
        server.accounts.enable("ann@proseware.com")
        await ask("EHLO c")
        assert (await ask(auth_plain())).startswith("235")
        writer.close()


async def test_a_network_that_was_removed_takes_effect_at_the_next_mail(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        assert codes(await server.talk("mx", *AT_HOME))[-1] == "250"
        server.service.rules = rules_with(SIGNED_IN)
        assert codes(await server.talk("mx", *AT_HOME))[-1] == "550"


# -------------------------------------------------------------------------------- lost facts


async def test_lost_dns_facts_close_the_door_with_451_and_the_case_says_so(tmp_path: Path) -> None:
    door = Door(DoorKind.HOST_NAME, "shop", hosts=frozenset({"shop.dyn.example"}))
    async with post(tmp_path, rules_with(door)) as server:
        server.names.failing = frozenset({"shop.dyn.example"})
        said = await server.talk("mx", *AT_HOME)
        assert said[3].startswith("451-4.7.0")
        case = server.cases.search(Search(reason="recognition-unreadable"))[0]
        assert any("shop.dyn.example cannot be looked up" in step.because for step in case.trace)


async def test_lost_pop_windows_close_the_door_with_451(tmp_path: Path) -> None:
    (tmp_path / "sign-ins.db").write_bytes(b"this is no database at all, but garbage" * 50)
    async with post(tmp_path, rules_with(POP_WINDOW)) as server:
        said = await server.talk("mx", *AT_HOME)
        assert said[3].startswith("451-4.7.0")
        assert "[recognition-unreadable]" in said[3]


# -------------------------------------------------------------------------------- links


async def test_a_reply_carries_a_link_only_when_help_is_set(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        assert "http" not in (await server.talk("mx", *AT_HOME))[3]
        server.service.recorder.site = SiteWords(help_link="https://help.example/{case}")
        said = (await server.talk("mx", *AT_HOME))[3]
        case = server.cases.search(Search(reason="not-recognised"))[0]
        assert said.endswith(f"https://help.example/{case.id}")


async def test_every_refusal_is_a_case_with_its_trace_and_what_would_help(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk("mx", *AT_HOME)
        case_id = said[3].rpartition("case ")[2]
        case = server.cases.find(case_id)
        assert case is not None
        assert case.forward_path == "bob@adatum.com"
        assert case.reply.startswith("550 5.7.1 Please sign in before sending")
        assert case.trace[0].question == "recipient is local"
        assert any("sign in as ann@proseware.com" in text for text in case.would_help)


async def test_an_alias_that_leads_only_to_nobody_here_is_refused_at_once(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        lost, kept = Mailbox("lost", "proseware.com"), Mailbox("kept", "proseware.com")
        server.accounts.add_alias(lost, [Mailbox("nobody", "proseware.com")])
        server.accounts.add_alias(kept, [Mailbox("bob", "adatum.com")])
        said = await server.talk(
            "mx", *AT_HOME, "RCPT TO:<lost@proseware.com>", "RCPT TO:<kept@proseware.com>"
        )
        assert codes(said)[-2:] == ["550", "250"]
