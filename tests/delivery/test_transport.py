"""Handing mail to next hops of every kind, odd ones included."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trustme
from msgspec import structs

from posthouse.delivery.hop_session import Timeouts
from posthouse.delivery.link import Address
from posthouse.delivery.next_hosts import Host, Hosts
from posthouse.delivery.opening import Manners, TlsContexts
from posthouse.delivery.outcomes import Deferred, Delivered, Failed, Outcome
from posthouse.delivery.pool import SessionPool
from posthouse.delivery.routes import Exchangers, Pace, Route, SignIn, SmartHost, TlsWish
from posthouse.delivery.transport import Transport
from posthouse.mail.address import NULL
from posthouse.mail.envelope import Notify
from tests.delivery.given import CALM, CONTENT, QUICK, FixedHosts, content, host, recipient, work
from tests.delivery.sink import EXTENSIONS, HANG, HANG_UP, Sink

BY_MX = Route(Exchangers())
PLAIN = "not encrypted"
Make = Callable[..., Transport]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def contexts(authority: trustme.CA) -> TlsContexts:
    verified = ssl.create_default_context()
    authority.configure_trust(verified)
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    return TlsContexts(unverified, verified)


def server_context(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
async def transport_to(contexts: TlsContexts) -> AsyncIterator[Make]:
    made: list[Transport] = []

    def make(
        *hosts: Sink | int,
        found: Hosts | None = None,
        timeouts: Timeouts = CALM,
        sources: tuple[Address, ...] = (),
    ) -> Transport:
        those = tuple(host(it.port if isinstance(it, Sink) else it) for it in hosts)
        finder = FixedHosts(found if found is not None else those)
        manners = Manners("relay.ours.example", sources, timeouts)
        made.append(Transport(finder, manners, contexts))
        return made[-1]

    yield make
    for transport in made:
        await transport.close()


async def outcome(transport: Transport, route: Route = BY_MX) -> Outcome:
    return (await transport.deliver(route, work(), content()))[0]


async def test_a_message_arrives_unchanged_with_all_its_recipients(transport_to: Make) -> None:
    async with Sink() as sink:
        mail = work(recipient("bob@theirs.example"), recipient("carol@theirs.example"))
        outcomes = await transport_to(sink).deliver(BY_MX, mail, content())
    assert outcomes == dict.fromkeys(
        (0, 1), Delivered("250 2.0.0 taken", "localhost [127.0.0.1]", tls="not encrypted")
    )
    (taken,) = sink.mails
    assert taken.content == CONTENT
    assert taken.sender.startswith("MAIL FROM:<ann@ours.example> SIZE=")
    assert taken.recipients == ["RCPT TO:<bob@theirs.example>", "RCPT TO:<carol@theirs.example>"]
    assert sink.commands[0] == "EHLO relay.ours.example"


async def test_the_local_part_is_passed_on_as_it_was_written(transport_to: Make) -> None:
    odd = ['"two words"@theirs.example', "a%b!c@theirs.example", "BoB+Tag@theirs.example"]
    async with Sink() as sink:
        await transport_to(sink).deliver(BY_MX, work(*map(recipient, odd)), content())
    assert sink.mails[0].recipients == [f"RCPT TO:<{it}>" for it in odd]


async def test_several_messages_share_a_session(transport_to: Make) -> None:
    async with Sink() as sink:
        transport = transport_to(sink)
        for _ in range(5):
            assert isinstance(await outcome(transport), Delivered)
    assert (sink.sessions, len(sink.mails)) == (1, 5)


async def test_a_kept_session_that_was_closed_meanwhile_costs_nothing(transport_to: Make) -> None:
    async with Sink(script={}) as sink:
        transport = transport_to(sink)
        await outcome(transport)
        for task in list(sink._tasks):
            task.cancel()
        await asyncio.sleep(0.05)
        assert isinstance(await outcome(transport), Delivered)
    assert sink.sessions == 2


async def test_without_pipelining_each_command_waits(transport_to: Make) -> None:
    async with Sink(extensions=()) as sink:
        assert isinstance(await outcome(transport_to(sink)), Delivered)
    assert sink.mails[0].content == CONTENT


async def test_a_host_that_knows_only_helo_is_served(transport_to: Make) -> None:
    async with Sink(script={"EHLO": "502 what?"}) as sink:
        assert isinstance(await outcome(transport_to(sink)), Delivered)
    assert "HELO relay.ours.example" in sink.commands


async def test_a_large_message_is_streamed(transport_to: Make) -> None:
    large = CONTENT + b"0123456789abcdef\r\n" * 60_000
    async with Sink() as sink:
        outcomes = await transport_to(sink).deliver(BY_MX, work(), content(large))
    assert isinstance(outcomes[0], Delivered)
    assert sink.mails[0].content == large


async def test_each_recipient_has_its_own_outcome(transport_to: Make) -> None:
    script = {"RCPT TO:<bob": "550 5.1.1 no bob", "RCPT TO:<carol": "451 4.2.0 not now"}
    names = ["bob@theirs.example", "carol@theirs.example", "dan@theirs.example"]
    async with Sink(script) as sink:
        outcomes = await transport_to(sink).deliver(BY_MX, work(*map(recipient, names)), content())
    where = "localhost [127.0.0.1]"
    assert outcomes == {
        0: Failed("5.1.1", "550 5.1.1 no bob", where, PLAIN),
        1: Deferred("4.2.0", "451 4.2.0 not now", where, tls=PLAIN),
        2: Delivered("250 2.0.0 taken", where, tls=PLAIN),
    }


async def test_all_recipients_refused_and_the_session_still_usable(transport_to: Make) -> None:
    async with Sink({"RCPT TO:<bob": "550 no"}) as sink:
        transport = transport_to(sink)
        assert await outcome(transport) == Failed("5.0.0", "550 no", "localhost [127.0.0.1]", PLAIN)
        other = work(recipient("carol@theirs.example"))
        assert isinstance((await transport.deliver(BY_MX, other, content()))[0], Delivered)
    assert (sink.sessions, len(sink.mails)) == (1, 1)


@pytest.mark.parametrize(
    ("script", "kind", "status"),
    [
        ({"MAIL": "550 5.7.1 go away"}, Failed, "5.7.1"),
        ({"MAIL": "451 4.7.1 greylisted"}, Deferred, "4.7.1"),
        ({"MAIL": "550 4.7.1 which one?"}, Failed, "5.0.0"),
        ({"DATA": "554 5.7.0 no"}, Failed, "5.7.0"),
        ({"DATA": "421 4.3.2 going down"}, Deferred, "4.4.2"),
        ({".": "554 5.6.0 spam"}, Failed, "5.6.0"),
        ({".": "452 4.3.1 full"}, Deferred, "4.3.1"),
        ({"": "554 5.7.1 no service"}, Deferred, "4.3.2"),
        ({"": "421 too busy"}, Deferred, "4.3.2"),
        ({"EHLO": "421 too busy"}, Deferred, "4.5.0"),
        ({"EHLO": "550 no", "HELO": "550 no"}, Deferred, "4.5.0"),
        ({"": HANG}, Deferred, "4.4.2"),
        ({"": HANG_UP}, Deferred, "4.4.2"),
        ({"": "this is not SMTP"}, Deferred, "4.4.2"),
        ({"": "220-" + "x" * 100_000}, Deferred, "4.4.2"),
        ({"EHLO": HANG}, Deferred, "4.4.2"),
        ({"EHLO": "250-a\n251 b"}, Deferred, "4.4.2"),
        ({"MAIL": HANG}, Deferred, "4.4.2"),
        ({"MAIL": HANG_UP}, Deferred, "4.4.2"),
        ({"RCPT": HANG_UP}, Deferred, "4.4.2"),
        ({"DATA": HANG}, Deferred, "4.4.2"),
        ({"DATA": "250 what?"}, Deferred, "4.4.2"),
        ({".": "999 no such code"}, Deferred, "4.4.2"),
    ],
)
async def test_what_goes_wrong_is_an_outcome(
    script: dict[str, str], kind: type[Outcome], status: str, transport_to: Make
) -> None:
    timeouts = QUICK if HANG in script.values() else CALM
    async with Sink(script) as sink:
        result = await outcome(transport_to(sink, timeouts=timeouts))
    assert isinstance(result, kind)
    assert isinstance(result, Deferred | Failed)
    assert result.status == status


async def test_a_banner_that_never_ends_is_left(transport_to: Make) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"220-still greeting\r\n")
                await writer.drain()
                await asyncio.sleep(0.005)
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    result = await outcome(transport_to(port, timeouts=QUICK))
    server.close()
    assert isinstance(result, Deferred)
    assert result.unreachable
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("end", [HANG, HANG_UP])
async def test_lost_after_the_final_dot_is_ambiguous_and_tried_nowhere_else(
    end: str, transport_to: Make
) -> None:
    async with Sink({".": end}) as first, Sink() as second:
        result = await outcome(transport_to(first, second, timeouts=QUICK))
    assert isinstance(result, Deferred)
    assert "may arrive twice" in result.words
    assert second.mails == []


@pytest.mark.parametrize(
    "script", [{"": HANG_UP}, {"": "554 no"}, {"EHLO": HANG}, {"MAIL": HANG_UP}, {"DATA": HANG_UP}]
)
async def test_the_next_host_is_tried_when_one_cannot_be_given_mail(
    script: dict[str, str], transport_to: Make
) -> None:
    timeouts = structs.replace(CALM, hello=0.3)
    async with Sink(script) as first, Sink() as second:
        result = await outcome(transport_to(first, second, timeouts=timeouts))
    assert isinstance(result, Delivered)
    assert len(second.mails) == 1


async def test_a_host_that_does_not_answer_is_tried_last_for_a_while(transport_to: Make) -> None:
    async with Sink() as gone:
        port = gone.port
    async with Sink() as alive:
        transport = transport_to(port, alive)
        assert isinstance(await outcome(transport), Delivered)
        await transport.close()
        async with Sink(port=port) as back:
            assert isinstance(await outcome(transport), Delivered)
            assert back.mails == []
    assert len(alive.mails) == 2


async def test_no_host_at_all_is_unreachable_with_its_words(transport_to: Make) -> None:
    async with Sink() as gone:
        port = gone.port
    result = await outcome(transport_to(port))
    assert isinstance(result, Deferred)
    assert result.unreachable
    assert "refused" in result.words
    assert result.host == "localhost [127.0.0.1]"


async def test_what_dns_says_is_passed_on(transport_to: Make) -> None:
    null_mx = Failed("5.1.10", "takes no mail")
    assert await outcome(transport_to(found=null_mx)) == null_mx


async def test_a_host_that_greets_with_our_name_is_a_loop(transport_to: Make) -> None:
    async with Sink(name="relay.ours.example") as sink:
        result = await outcome(transport_to(sink))
        assert isinstance(result, Failed)
        assert result.status == "5.4.6"
        there = Route(SmartHost("localhost", sink.port))
        assert isinstance(await outcome(transport_to(sink), there), Delivered)


async def test_too_many_recipients_for_one_transaction_go_in_several(transport_to: Make) -> None:
    many = [recipient(f"u{number}@theirs.example") for number in range(250)]
    async with Sink() as sink:
        outcomes = await transport_to(sink).deliver(BY_MX, work(*many), content())
    assert all(isinstance(it, Delivered) for it in outcomes.values())
    assert [len(mail.recipients) for mail in sink.mails] == [100, 100, 50]
    assert sink.sessions == 1


async def test_recipients_answered_452_behind_others_go_in_the_next_transaction(
    transport_to: Make,
) -> None:
    script = {"RCPT TO:<u2": "452 4.5.3 too many"}
    many = [recipient(f"u{number}@theirs.example") for number in range(3)]
    async with Sink(script) as sink:
        outcomes = await transport_to(sink).deliver(BY_MX, work(*many), content())
    assert len(sink.mails) == 1
    assert sum(line.startswith("RCPT TO:<u2") for line in sink.commands) == 2
    assert isinstance(outcomes[2], Deferred)


async def test_a_message_above_the_size_limit_fails_without_being_sent(transport_to: Make) -> None:
    async with Sink(extensions=("SIZE 10",)) as sink:
        result = await outcome(transport_to(sink))
    assert isinstance(result, Failed)
    assert result.status == "5.3.4"
    assert not any(line.startswith("MAIL") for line in sink.commands)


async def test_an_international_address_fails_alone_where_it_is_not_supported(
    transport_to: Make,
) -> None:
    mail = work(recipient("jörg@theirs.example"), recipient("bob@theirs.example"))
    async with Sink() as sink:
        outcomes = await transport_to(sink).deliver(BY_MX, mail, content())
    failed = outcomes[0]
    assert isinstance(failed, Failed)
    assert failed.status == "5.6.7"
    assert "letters beyond ASCII" in failed.words
    assert isinstance(outcomes[1], Delivered)
    assert len(sink.mails[0].recipients) == 1


async def test_international_mail_goes_where_it_is_supported(transport_to: Make) -> None:
    mail = work(recipient("jörg@theirs.example"), smtputf8=True)
    text = "From: ann@ours.example\r\nSubject: Grüße\r\n\r\nx\r\n".encode()
    async with Sink(extensions=("SMTPUTF8", "8BITMIME")) as sink:
        outcomes = await transport_to(sink).deliver(BY_MX, mail, content(text))
    assert isinstance(outcomes[0], Delivered)
    assert "SMTPUTF8" in sink.mails[0].sender
    async with Sink() as old:
        outcomes = await transport_to(old).deliver(BY_MX, mail, content(text))
    assert isinstance(outcomes[0], Failed)


async def test_smtputf8_that_is_not_needed_is_not_asked_for(transport_to: Make) -> None:
    async with Sink() as sink:
        outcomes = await transport_to(sink).deliver(BY_MX, work(smtputf8=True), content())
    assert isinstance(outcomes[0], Delivered)


async def test_report_requests_travel_and_the_next_hop_then_reports(transport_to: Make) -> None:
    asked = recipient("bob@theirs.example", Notify.SUCCESS, original="rfc822;bob@theirs.example")
    mail = work(asked, envelope_id="QQ1", return_content="HDRS")
    async with Sink() as sink, Sink(extensions=()) as old:
        (result,) = (await transport_to(sink).deliver(BY_MX, mail, content())).values()
        (other,) = (await transport_to(old).deliver(BY_MX, mail, content())).values()
    assert isinstance(result, Delivered)
    assert result.reports
    assert isinstance(other, Delivered)
    assert not other.reports
    assert "RET=HDRS ENVID=QQ1" in sink.mails[0].sender
    assert "NOTIFY=SUCCESS ORCPT=rfc822;bob@theirs.example" in sink.mails[0].recipients[0]


async def test_a_null_reverse_path_stays_null(transport_to: Make) -> None:
    async with Sink() as sink:
        await transport_to(sink).deliver(BY_MX, work(reverse_path=NULL), content())
    assert sink.mails[0].sender.startswith("MAIL FROM:<> ")


# ---------------------------------------------------------------- TLS


async def test_tls_is_used_where_it_is_offered(authority: trustme.CA, transport_to: Make) -> None:
    async with Sink(tls=server_context(authority)) as sink:
        transport = transport_to(sink)
        for _ in range(2):
            assert isinstance(await outcome(transport), Delivered)
    assert [mail.encrypted for mail in sink.mails] == [True, True]
    assert sink.sessions == 1


async def test_opportunistic_takes_any_certificate(
    authority: trustme.CA, transport_to: Make
) -> None:
    async with Sink(tls=server_context(trustme.CA(), "other.example")) as sink:
        assert isinstance(await outcome(transport_to(sink)), Delivered)
    assert sink.mails[0].encrypted


async def test_opportunistic_goes_without_tls_when_it_fails(
    authority: trustme.CA, transport_to: Make
) -> None:
    unable = Sink(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    refusing = Sink({"STARTTLS": "454 no TLS now"}, tls=server_context(authority))
    for sink, sessions in ((unable, 2), (refusing, 1)):
        async with sink:
            result = await outcome(transport_to(sink))
        assert isinstance(result, Delivered)
        assert result.tls.startswith("not encrypted")
        assert ("TLS was offered and failed" in result.tls) is (sessions == 2)
        assert not sink.mails[0].encrypted
        assert sink.sessions == sessions


async def test_octets_smuggled_in_before_tls_end_the_attempt(
    authority: trustme.CA, transport_to: Make
) -> None:
    async with Sink({"STARTTLS": "220 go\n250 evil"}, tls=server_context(authority)) as sink:
        assert isinstance(await outcome(transport_to(sink)), Deferred)
    assert sink.mails == []


@pytest.mark.parametrize("wish", [TlsWish.REQUIRED, TlsWish.VERIFIED])
async def test_required_never_goes_without(
    wish: TlsWish, authority: trustme.CA, transport_to: Make
) -> None:
    route = Route(Exchangers(), tls=wish)
    refusing = Sink({"STARTTLS": "454 no TLS now"}, tls=server_context(authority))
    async with Sink() as plain, refusing:
        for sink in (plain, refusing):
            result = await outcome(transport_to(sink), route)
            assert isinstance(result, Deferred)
            assert result.status == "4.7.10"
    assert plain.mails == refusing.mails == []


async def test_verified_wants_the_right_name_and_a_known_authority(
    authority: trustme.CA, transport_to: Make
) -> None:
    route = Route(Exchangers(), tls=TlsWish.VERIFIED)
    async with Sink(tls=server_context(authority)) as right:
        assert isinstance(await outcome(transport_to(right), route), Delivered)
    for context in (server_context(authority, "other.example"), server_context(trustme.CA())):
        async with Sink(tls=context) as wrong:
            result = await outcome(transport_to(wrong), route)
        assert isinstance(result, Deferred)
        assert "handshake failed" in result.words
        assert wrong.mails == []


async def test_smtps_is_tls_from_the_first_octet(authority: trustme.CA, transport_to: Make) -> None:
    async with Sink(tls=server_context(authority), tls_from_start=True) as sink:
        there = Route(SmartHost("localhost", sink.port, tls_from_start=True))
        found = (structs.replace(host(sink.port), tls_from_start=True),)
        result = await outcome(transport_to(found=found), there)
        assert isinstance(result, Delivered)
        assert result.tls.startswith("TLSv1.")
    async with Sink() as plain:
        there = Route(SmartHost("localhost", plain.port, tls_from_start=True))
        found = (structs.replace(host(plain.port), tls_from_start=True),)
        result = await outcome(transport_to(found=found), there)
    assert isinstance(result, Deferred)
    assert result.status == "4.7.10"


# ---------------------------------------------------------------- signing in


async def test_we_sign_in_at_a_smart_host(authority: trustme.CA, transport_to: Make) -> None:
    extensions = (*EXTENSIONS, "AUTH PLAIN LOGIN")
    async with Sink(extensions=extensions, tls=server_context(authority)) as sink:
        there = Route(
            SmartHost("localhost", sink.port), sign_in=SignIn(user="isp", password="secret")
        )
        assert isinstance(await outcome(transport_to(sink), there), Delivered)
    assert sink.mails[0].signed_in == "AUTH PLAIN AGlzcABzZWNyZXQ="
    assert "secret" not in repr(there)


@pytest.mark.parametrize("extensions", [(), ("AUTH PLAIN",)])
async def test_a_sign_in_that_fails_defers_all_mail(
    extensions: tuple[str, ...], transport_to: Make
) -> None:
    async with Sink({"AUTH": "535 5.7.8 wrong"}, extensions=extensions) as sink:
        there = Route(SmartHost("localhost", sink.port), sign_in=SignIn(user="u", password="p"))
        result = await outcome(transport_to(sink), there)
    assert isinstance(result, Deferred)
    assert result.status == "4.7.8"


# ---------------------------------------------------------------- the pool


async def test_idle_sessions_end_by_themselves_with_quit(contexts: TlsContexts) -> None:
    async with Sink() as sink:
        pool = SessionPool(idle_seconds=0.05)
        manners = Manners("relay.ours.example")
        transport = Transport(FixedHosts((host(sink.port),)), manners, contexts, pool)
        await outcome(transport)
        await asyncio.sleep(0.15)
        assert sink.commands[-1] == "QUIT"
        await outcome(transport)
        await transport.close()
    assert sink.sessions == 2


async def test_mail_comes_from_the_address_that_is_configured(transport_to: Make) -> None:
    seen: list[str] = []

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername")[0])
        writer.transport.abort()

    server = await asyncio.start_server(look, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    own = host(0, address="127.0.0.9").address
    await outcome(transport_to(port, sources=(own,)))
    server.close()
    assert seen == ["127.0.0.9"]


async def test_random_nonsense_never_raises(transport_to: Make) -> None:
    chance = random.Random(7)
    for _ in range(15):
        noise = chance.choice(["220 ok", "354 go", "250-a", "250 b", "\x00\xff", "421 x", "5"])
        where = chance.choice(["", "EHLO", "MAIL", "RCPT", "DATA", "."])
        async with Sink({where: noise}) as sink:
            await outcome(transport_to(sink, timeouts=QUICK))


async def test_a_host_that_speaks_no_tls_after_promising_it_gets_mail_without(
    authority: trustme.CA, transport_to: Make
) -> None:
    timeouts = structs.replace(CALM, handshake=0.2)
    async with Sink({"STARTTLS": "220 go"}, tls=server_context(authority)) as sink:
        assert isinstance(await outcome(transport_to(sink, timeouts=timeouts)), Delivered)
    assert not sink.mails[0].encrypted


async def test_a_refused_recipient_stays_refused_when_the_session_breaks_off(
    transport_to: Make,
) -> None:
    script = {"RCPT TO:<bob": "550 5.1.1 no bob", "DATA": HANG_UP}
    both = work(recipient("bob@theirs.example"), recipient("carol@theirs.example"))
    async with Sink(script) as first, Sink() as second:
        outcomes = await transport_to(first, second).deliver(BY_MX, both, content())
    assert isinstance(outcomes[0], Failed)
    assert isinstance(outcomes[1], Delivered)
    assert second.mails[0].recipients == ["RCPT TO:<carol@theirs.example>"]


async def test_a_host_that_hangs_up_in_a_large_content_defers(transport_to: Make) -> None:
    large = CONTENT + b"0123456789abcdef\r\n" * 200_000

    async def leave_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n250-x\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        await reader.readuntil(b"DATA\r\n")
        await reader.read(1000)
        writer.write(b"552 5.3.4 too much\r\n")
        await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(leave_early, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        outcomes = await transport_to(port).deliver(BY_MX, work(), content(large))
    finally:
        server.close()
    assert isinstance(outcomes[0], Deferred | Failed)


async def test_what_a_session_sent_before_it_was_asked_is_no_answer(transport_to: Make) -> None:
    async with Sink({"": "220 x\n250 eager\n250 more"}) as sink:
        assert isinstance(await outcome(transport_to(sink)), Deferred)


async def test_a_host_that_is_worse_without_tls_is_left(transport_to: Make) -> None:
    class Turncoat(Sink):
        """Greets once; whoever comes back is refused."""

        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.script = {"": "554 enough"} if self.sessions else {}
            await super()._serve(reader, writer)

    async with Turncoat(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) as sink:
        result = await outcome(transport_to(sink))
    assert isinstance(result, Deferred)
    assert result.status == "4.3.2"


async def lmtp(transport_to: Make, script: str, unix: str = "") -> dict[int, Outcome]:
    """Deliver to two recipients over LMTP; `script` answers behind the final dot."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 store LMTP\r\n")
        while line := await reader.readline():
            if line.startswith(b"LHLO"):
                writer.write(b"250-store\r\n250 PIPELINING\r\n")
            elif line.startswith(b"DATA"):
                writer.write(b"354 go\r\n")
                while await reader.readline() != b".\r\n":
                    pass
                writer.write(script.replace("\n", "\r\n").encode())
                if script.count("\n") < 2:
                    break
            elif not line.startswith(b"QUIT"):
                writer.write(b"250 ok\r\n")
            await writer.drain()
        writer.close()

    if unix:
        server = await asyncio.start_unix_server(serve, unix)
        found = Host(unix, None, 0, lmtp=True)
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found = structs.replace(host(port), lmtp=True)
    async with server:
        mail = work(recipient("bob@theirs.example"), recipient("carol@theirs.example"))
        route = Route(SmartHost(found.name, found.port, lmtp=True))
        transport = transport_to(found=(found,))
        outcomes = await transport.deliver(route, mail, content())
        await transport.close()
    return outcomes


async def test_lmtp_gives_each_recipient_its_own_outcome(transport_to: Make) -> None:
    outcomes = await lmtp(transport_to, "250 2.0.0 stored\n452 4.2.2 mailbox full\n")
    where = "localhost [127.0.0.1]"
    assert outcomes == {
        0: Delivered("250 2.0.0 stored", where, tls=PLAIN, final=True),
        1: Deferred("4.2.2", "452 4.2.2 mailbox full", where, tls=PLAIN),
    }


async def test_lmtp_goes_through_a_unix_socket(transport_to: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "lmtp")
    outcomes = await lmtp(transport_to, "550 5.1.1 nobody\n250 2.0.0 stored\n", path)
    assert outcomes == {
        0: Failed("5.1.1", "550 5.1.1 nobody", path, "on this machine"),
        1: Delivered("250 2.0.0 stored", path, tls="on this machine", final=True),
    }


async def test_what_lmtp_answered_counts_when_it_hangs_up_before_the_last_answer(
    transport_to: Make,
) -> None:
    outcomes = await lmtp(transport_to, "250 2.0.0 stored\n")
    assert isinstance(outcomes[0], Delivered)
    assert isinstance(outcomes[1], Deferred)
    assert "may arrive twice" in outcomes[1].words


async def test_a_route_has_its_own_name_and_number_of_messages(transport_to: Make) -> None:
    route = Route(Exchangers(), hello="other.ours.example", pace=Pace(messages=2))
    async with Sink() as sink:
        transport = transport_to(sink)
        for _ in range(4):
            assert isinstance(await outcome(transport, route), Delivered)
        assert isinstance(await outcome(transport), Delivered)
        assert sink.sessions == 3
        assert sink.commands.count("EHLO other.ours.example") == 2
        assert "EHLO relay.ours.example" in sink.commands


@pytest.mark.parametrize(
    "script",
    [
        {"": "220-" + "x" * 200_000},
        {"": "220-never\n" * 5000},
        {"": "hello there"},
        {"EHLO": "250-" + "A\n250-" * 5000},
        {"MAIL": "999 what"},
        {"DATA": "250 ok"},
        {"MAIL": "\x00\x01\x02"},
        {"RCPT": "25x ok"},
    ],
)
async def test_a_host_that_talks_nonsense_defers_and_nothing_is_lost(
    script: dict[str, str], transport_to: Make
) -> None:
    async with Sink(script=script) as sink:
        found = await outcome(transport_to(sink, timeouts=QUICK))
    assert isinstance(found, Deferred)
    assert found.words.isprintable()


async def test_tls_that_breaks_off_half_way_goes_on_in_the_clear_only_where_it_may(
    transport_to: Make,
) -> None:
    async with Sink() as sink:

        async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Offer TLS, hang up in its handshake; without it pass everything on."""
            there, to = await asyncio.open_connection("127.0.0.1", sink.port)
            writer.write(await there.readline())
            ehlo = await reader.readline()
            writer.write(b"250-x\r\n250 STARTTLS\r\n")
            to.write(ehlo)
            while not (await there.readline()).startswith(b"250 "):
                pass
            if (line := await reader.readline()).startswith(b"STARTTLS"):
                writer.write(b"220 go\r\n")
                await reader.read(100)
            else:
                to.write(line)
                await asyncio.gather(pump(reader, to), pump(there, writer))
            writer.close()
            to.close()

        async def pump(one: asyncio.StreamReader, two: asyncio.StreamWriter) -> None:
            while octets := await one.read(1000):
                two.write(octets)
            two.close()

        async with await asyncio.start_server(between, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            transport = transport_to(port)
            assert isinstance(await outcome(transport), Delivered)
            must = await outcome(transport, Route(Exchangers(), tls=TlsWish.REQUIRED))
            await transport.close()
    assert isinstance(must, Deferred)
    assert "TLS handshake" in must.words
    assert [mail.encrypted for mail in sink.mails] == [False]


async def test_a_host_that_does_not_promise_tls_all_the_way_is_left_for_one_that_does(
    transport_to: Make,
) -> None:
    asked = work(requiretls=True)
    promising = (*EXTENSIONS, "REQUIRETLS")
    async with Sink() as first, Sink(extensions=promising) as second:
        outcomes = await transport_to(first, second).deliver(BY_MX, asked, content())
    assert isinstance(outcomes[0], Delivered)
    assert "REQUIRETLS" in second.mails[0].sender
    assert first.mails == []


async def test_mail_that_no_host_promises_tls_for_fails_only_if_all_could_be_asked(
    transport_to: Make,
) -> None:
    asked = work(requiretls=True)
    async with Sink() as gone:
        port = gone.port
    async with Sink() as first, Sink() as second:
        outcomes = await transport_to(first, second).deliver(BY_MX, asked, content())
        assert isinstance(outcomes[0], Failed)
        assert outcomes[0].status == "5.7.30"
        for hosts in ((first, port), (port, first)):
            outcomes = await transport_to(*hosts).deliver(BY_MX, asked, content())
            assert isinstance(outcomes[0], Deferred)
        hanging = Sink({"": HANG_UP})
        async with hanging:
            outcomes = await transport_to(hanging, first).deliver(BY_MX, asked, content())
            assert isinstance(outcomes[0], Deferred)
    assert first.mails == second.mails == []
