"""What DNS, policies and senders demand of TLS, as a table and against real handshakes."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from msgspec import structs

from posthouse.delivery.mta_sts import Mode, Policy
from posthouse.delivery.next_hosts import Host
from posthouse.delivery.opening import Manners, TlsContexts, client_contexts
from posthouse.delivery.outcomes import Deferred, Delivered, Failed, Outcome
from posthouse.delivery.routes import Exchangers, Route, SmartHost, TlsWish
from posthouse.delivery.security import Security
from posthouse.delivery.sts_policies import Finding
from posthouse.delivery.tls_terms import Assurance, Basis, Trouble
from posthouse.delivery.transport import Transport
from posthouse.dns.answers import Answer, NoData, TemporaryFailure, TlsaRecord, TlsaResult
from tests.delivery.certificates import Issued
from tests.delivery.given import CALM, CONTENT, FixedHosts, content, work
from tests.delivery.sink import EXTENSIONS, Sink

BY_MX = Route(Exchangers())
DOMAIN = "theirs.example"
NOW = datetime.now(UTC)
ROOT = Issued("Root", authority=True, ends=NOW + timedelta(days=9))
RIGHT = Issued("localhost", ROOT, dns=("localhost",), ends=NOW + timedelta(days=9))
EXPIRED = Issued("localhost", ROOT, dns=("localhost",), ends=NOW - timedelta(days=9))
OTHER = Issued("other", dns=("other.example",), ends=NOW + timedelta(days=9))
WEEK = timedelta(days=7)
ENFORCE = Policy(Mode.ENFORCE, ("localhost",), WEEK)
UNUSABLE = TlsaRecord(1, 1, 1, bytes(32))
SECURE = Host("localhost", ip_address("127.0.0.1"), 25, secure=True)
INSECURE = structs.replace(SECURE, secure=False)


class World:
    """DNS, policies, and what was told of sessions."""

    def __init__(self) -> None:
        self.tlsa_by_name: dict[str, TlsaResult] = {}
        self.found = Finding()
        self.told: list[tuple[Basis, Trouble | None]] = []
        self.asked: list[str] = []

    def publish(self, *records: TlsaRecord, port: int = 25, authentic: bool = True) -> None:
        name = f"_{port}._tcp.localhost"
        self.tlsa_by_name[name] = Answer(records, name, 60, authentic=authentic)

    async def tlsa(self, name: str) -> TlsaResult:
        self.asked.append(name)
        return self.tlsa_by_name.get(name, NoData(name))

    async def find(self, domain: str) -> Finding:
        assert domain == DOMAIN
        return self.found

    def note(
        self,
        domain: str,
        host: Host,
        assurance: Assurance,
        trouble: Trouble | None,
        words: str,
        sending: str = "",
    ) -> None:
        assert (domain, host.name) == (DOMAIN, "localhost")
        assert sending in ("127.0.0.1", "")
        assert words or trouble in (None, Trouble.NO_STARTTLS, Trouble.TLSA_INVALID)
        self.told.append((assurance.basis, trouble))

    @property
    def security(self) -> Security:
        return Security(self, self)


@pytest.fixture
def world() -> World:
    return World()


async def assured(
    world: World, host: Host = SECURE, *, requiretls: bool = False, route: Route = BY_MX
) -> Assurance:
    found = await world.security.assure(route, DOMAIN, [host], requiretls=requiretls)
    return found.get("localhost", Assurance())


# ---------------------------------------------------------------- the table


async def test_secure_records_of_a_secure_host_are_demanded(world: World) -> None:
    world.publish(RIGHT.record(3), UNUSABLE)
    one = await assured(world)
    assert (one.basis, one.records) == (Basis.DANE, (RIGHT.record(3),))
    assert one.names == ("localhost", DOMAIN)
    assert (await assured(world, INSECURE)).basis is Basis.ROUTE
    smart = Route(SmartHost("localhost", 25))
    assert (await assured(world, route=smart)).basis is Basis.DANE


async def test_insecure_records_mean_nothing(world: World) -> None:
    world.publish(RIGHT.record(3), authentic=False)
    assert (await assured(world)).basis is Basis.ROUTE


async def test_of_an_insecure_host_no_records_are_looked_up(world: World) -> None:
    await assured(world, INSECURE)
    assert world.asked == []


async def test_unusable_records_demand_tls_without_a_certificate(world: World) -> None:
    world.publish(UNUSABLE)
    one = await assured(world)
    assert (one.basis, one.records, one.bars) == (Basis.DANE_UNUSABLE, (), False)


async def test_records_that_cannot_be_looked_up_bar_the_host(world: World) -> None:
    world.tlsa_by_name["_25._tcp.localhost"] = TemporaryFailure("x", "SERVFAIL")
    world.found = Finding(ENFORCE)
    one = await assured(world)
    assert one.bars
    assert one.trouble is Trouble.DNSSEC_INVALID


async def test_an_alias_is_looked_up_by_its_target_first(world: World) -> None:
    alias = structs.replace(SECURE, canonical="real.example")
    world.publish(RIGHT.record(3))
    one = await assured(world, alias)
    assert world.asked == ["_25._tcp.real.example", "_25._tcp.localhost"]
    assert one.names == ("localhost", DOMAIN)


async def test_dane_goes_before_mta_sts(world: World) -> None:
    world.publish(RIGHT.record(3))
    world.found = Finding(structs.replace(ENFORCE, patterns=("other.example",)))
    one = await assured(world)
    assert (one.basis, one.bars) == (Basis.DANE, False)


@pytest.mark.parametrize(
    ("mode", "patterns", "basis", "bars"),
    [
        (Mode.ENFORCE, ("localhost",), Basis.STS, False),
        (Mode.ENFORCE, ("other.example",), Basis.STS, True),
        (Mode.TESTING, ("localhost",), Basis.STS_TESTING, False),
        (Mode.TESTING, ("other.example",), Basis.STS_TESTING, False),
        (Mode.NONE, (), Basis.ROUTE, False),
    ],
)
async def test_policies_by_mode(
    world: World, mode: Mode, patterns: tuple[str, ...], basis: Basis, *, bars: bool
) -> None:
    world.found = Finding(Policy(mode, patterns, WEEK))
    one = await assured(world)
    assert (one.basis, one.bars) == (basis, bars)
    smart = Route(SmartHost("localhost", 25))
    assert (await assured(world, route=smart)).basis is Basis.ROUTE


async def test_a_policy_that_cannot_be_had_demands_nothing_and_is_told(world: World) -> None:
    world.found = Finding(None, Trouble.STS_FETCH, "down")
    assert await assured(world) == Assurance(trouble=Trouble.STS_FETCH)
    world.found = Finding(ENFORCE, Trouble.STS_FETCH, "down")
    assert await assured(world) == Assurance(Basis.STS, policy=ENFORCE)


async def test_both_can_be_switched_off(world: World) -> None:
    world.publish(RIGHT.record(3))
    world.found = Finding(ENFORCE)
    security = world.security
    security.dane = False
    assert (await security.assure(BY_MX, DOMAIN, [SECURE]))["localhost"].basis is Basis.STS
    security.mta_sts = False
    assert (await security.assure(BY_MX, DOMAIN, [SECURE]))["localhost"].basis is Basis.ROUTE


async def test_a_sender_may_want_more(world: World) -> None:
    plain = await assured(world, INSECURE, requiretls=True)
    assert (plain.bars, plain.final) == (True, True)
    assert (await assured(world, SECURE, requiretls=True)) == Assurance(Basis.REQUIRETLS)
    smart = Route(SmartHost("localhost", 25))
    assert (await assured(world, INSECURE, requiretls=True, route=smart)) == Assurance(
        Basis.REQUIRETLS
    )
    world.found = Finding(structs.replace(ENFORCE, mode=Mode.TESTING))
    assert (await assured(world, INSECURE, requiretls=True)).basis is Basis.STS
    world.publish(RIGHT.record(3))
    assert (await assured(world, SECURE, requiretls=True)).basis is Basis.DANE


# ---------------------------------------------------------------- real handshakes


@pytest.fixture(scope="module")
def contexts() -> TlsContexts:
    ours = client_contexts()
    ours.verified.load_verify_locations(cadata=ROOT.der)
    return ours


def shown(leaf: Issued, *others: Issued, directory: Path) -> ssl.SSLContext:
    """A server's context that shows these certificates."""
    file = directory / "chain.pem"
    file.write_bytes(leaf.pem + b"".join(it.pem for it in others))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


class Sending:
    """Sends to one sink by a transport that asks the world."""

    def __init__(self, world: World, contexts: TlsContexts) -> None:
        self._world = world
        self._contexts = contexts
        self.transports: list[Transport] = []

    async def to(
        self,
        sink: Sink,
        route: Route = BY_MX,
        octets: bytes = CONTENT,
        *,
        secure: bool = True,
        requiretls: bool = False,
        client: str = "192.0.2.7",
    ) -> Outcome:
        there = Host("localhost", ip_address("127.0.0.1"), sink.port, secure=secure)
        transport = Transport(
            FixedHosts((there,)),
            Manners("relay.ours.example", (), CALM),
            self._contexts,
            security=self._world.security,
            watcher=self._world,
        )
        self.transports.append(transport)
        mail = work(requiretls=requiretls, client=client)
        return (await transport.deliver(route, mail, content(octets)))[0]


@pytest.fixture
async def send(world: World, contexts: TlsContexts) -> AsyncIterator[Sending]:
    sending = Sending(world, contexts)
    yield sending
    for transport in sending.transports:
        await transport.close()


@pytest.mark.parametrize("usage", [2, 3])
async def test_a_certificate_that_matches_its_record_is_all_that_dane_wants(
    usage: int, world: World, send: Sending, tmp_path: Path
) -> None:
    record = RIGHT.record(3) if usage == 3 else ROOT.record(2)
    async with Sink(tls=shown(RIGHT, ROOT, directory=tmp_path)) as sink:
        world.publish(record, port=sink.port)
        result = await send.to(sink)
    assert isinstance(result, Delivered)
    assert result.tls.startswith("TLSv1.3 TLS_")
    assert result.tls.endswith(", certificate verified (DANE)")
    assert world.told == [(Basis.DANE, None)]


async def test_dane_counts_as_verified_and_needs_no_public_authority(
    world: World, send: Sending, tmp_path: Path
) -> None:
    async with Sink(tls=shown(OTHER, directory=tmp_path)) as sink:
        world.publish(OTHER.record(3), port=sink.port)
        result = await send.to(sink, Route(Exchangers(), tls=TlsWish.VERIFIED))
    assert isinstance(result, Delivered)


async def test_another_certificate_than_dns_says_gets_no_mail(
    world: World, send: Sending, tmp_path: Path
) -> None:
    async with Sink(tls=shown(RIGHT, ROOT, directory=tmp_path)) as sink:
        world.publish(OTHER.record(3), port=sink.port)
        result = await send.to(sink)
    assert isinstance(result, Deferred)
    assert result.status == "4.7.5"
    assert "does not match the TLSA records" in result.words
    assert not result.unreachable
    assert sink.mails == []
    assert sink.sessions == 1
    assert world.told == [(Basis.DANE, Trouble.VALIDATION)]


async def test_a_host_with_records_and_without_tls_gets_no_mail(
    world: World, send: Sending
) -> None:
    for record in (RIGHT.record(3), UNUSABLE):
        async with Sink() as sink:
            world.publish(record, port=sink.port)
            result = await send.to(sink)
        assert isinstance(result, Deferred)
        assert "the domain's DNS (DANE) demands it" in result.words
        assert sink.mails == []
    assert world.told[0] == (Basis.DANE, Trouble.NO_STARTTLS)


async def test_unusable_records_take_any_certificate(
    world: World, send: Sending, tmp_path: Path
) -> None:
    async with Sink(tls=shown(OTHER, directory=tmp_path)) as sink:
        world.publish(UNUSABLE, port=sink.port)
        result = await send.to(sink)
    assert isinstance(result, Delivered)
    assert sink.mails[0].encrypted
    assert "verified" not in result.tls


async def test_without_an_answer_about_records_mail_waits(world: World, send: Sending) -> None:
    async with Sink() as sink:
        world.tlsa_by_name[f"_{sink.port}._tcp.localhost"] = TemporaryFailure("x", "SERVFAIL")
        result = await send.to(sink)
    assert isinstance(result, Deferred)
    assert (result.status, sink.sessions) == ("4.4.3", 0)
    assert world.told == [(Basis.DANE, Trouble.DNSSEC_INVALID)]


async def test_an_enforced_policy_wants_a_verified_certificate(
    world: World, send: Sending, tmp_path: Path
) -> None:
    world.found = Finding(ENFORCE)
    async with Sink(tls=shown(RIGHT, directory=tmp_path)) as sink:
        result = await send.to(sink)
    assert isinstance(result, Delivered)
    assert result.tls.endswith(", certificate verified (MTA-STS)")
    assert world.told == [(Basis.STS, None)]


@pytest.mark.parametrize(
    ("leaf", "trouble"),
    [
        (OTHER, Trouble.NOT_TRUSTED),
        (EXPIRED, Trouble.EXPIRED),
        (Issued("x", ROOT, dns=("x.example",), ends=NOW + WEEK), Trouble.HOST_MISMATCH),
        (None, Trouble.NO_STARTTLS),
    ],
)
async def test_what_an_enforced_policy_bars_a_tested_one_reports(
    leaf: Issued | None, trouble: Trouble, world: World, send: Sending, tmp_path: Path
) -> None:
    async with Sink(tls=shown(leaf, directory=tmp_path) if leaf else None) as sink:
        world.found = Finding(ENFORCE)
        result = await send.to(sink)
        assert isinstance(result, Deferred)
        assert sink.mails == []
        world.found = Finding(structs.replace(ENFORCE, mode=Mode.TESTING))
        result = await send.to(sink)
        assert isinstance(result, Delivered)
        assert sink.mails[0].encrypted is (leaf is not None)
        assert "verified" not in result.tls
    assert world.told == [(Basis.STS, trouble), (Basis.STS_TESTING, trouble)]


async def test_a_host_that_the_policy_does_not_name_is_barred(world: World, send: Sending) -> None:
    world.found = Finding(structs.replace(ENFORCE, patterns=("other.example",)))
    async with Sink() as sink:
        result = await send.to(sink)
    assert isinstance(result, Deferred)
    assert "not among the hosts" in result.words
    assert sink.sessions == 0
    assert world.told == [(Basis.STS, Trouble.VALIDATION)]


async def test_tls_required_no_lets_mail_through_all_the_same(
    world: World, send: Sending, tmp_path: Path
) -> None:
    world.found = Finding(ENFORCE)
    async with Sink(tls=shown(OTHER, directory=tmp_path)) as sink:
        world.publish(RIGHT.record(3), port=sink.port)
        result = await send.to(sink, octets=b"TLS-Required:  No \r\n" + CONTENT)
        assert isinstance(result, Delivered)
        twice = b"TLS-Required: No\r\n" * 2 + CONTENT
        assert isinstance(await send.to(sink, octets=twice), Deferred)


async def test_tls_required_no_does_not_loosen_a_route_of_ours(world: World, send: Sending) -> None:
    async with Sink() as sink:
        route = Route(Exchangers(), tls=TlsWish.REQUIRED)
        result = await send.to(sink, route, b"TLS-Required: No\r\n" + CONTENT)
    assert isinstance(result, Deferred)


async def test_requiretls_fails_at_a_host_without_tls_and_waits_for_one_that_is_busy(
    send: Sending, tmp_path: Path
) -> None:
    tls = shown(RIGHT, directory=tmp_path)
    async with Sink() as without, Sink({"STARTTLS": "454 4.7.0 not now"}, tls=tls) as busy:
        result = await send.to(without, requiretls=True)
        assert isinstance(result, Failed)
        assert result.status == "5.7.10"
        assert isinstance(await send.to(busy, requiretls=True), Deferred)
    assert without.mails == busy.mails == []


async def test_requiretls_goes_only_where_it_is_promised(
    world: World, send: Sending, tmp_path: Path
) -> None:
    tls = shown(RIGHT, directory=tmp_path)
    async with Sink(tls=tls, extensions=(*EXTENSIONS, "REQUIRETLS")) as kept, Sink(tls=tls) as old:
        result = await send.to(kept, requiretls=True)
        assert isinstance(result, Delivered)
        assert kept.mails[0].sender.endswith(" REQUIRETLS")
        refused = await send.to(old, requiretls=True)
        insecure = await send.to(kept, requiretls=True, secure=False)
    for failed in (refused, insecure):
        assert isinstance(failed, Failed)
        assert failed.status == "5.7.30"
    assert old.mails == []
    assert len(kept.mails) == 1


async def test_requiretls_wins_over_the_field_that_wants_less(world: World, send: Sending) -> None:
    async with Sink() as sink:
        octets = b"TLS-Required: No\r\n" + CONTENT
        result = await send.to(sink, octets=octets, requiretls=True, secure=False)
    assert isinstance(result, Failed)


async def test_opportunistic_sessions_are_told_too(
    world: World, send: Sending, tmp_path: Path
) -> None:
    async with Sink() as plain, Sink(tls=shown(OTHER, directory=tmp_path)) as sink:
        await send.to(plain)
        await send.to(sink)
    assert world.told == [(Basis.ROUTE, Trouble.NO_STARTTLS), (Basis.ROUTE, None)]


async def test_reports_of_ours_are_not_counted(world: World, send: Sending) -> None:
    async with Sink() as sink:
        assert isinstance(await send.to(sink, client=""), Delivered)
    assert world.told == []


async def test_a_kept_session_is_not_used_where_more_is_demanded(
    world: World, contexts: TlsContexts, tmp_path: Path
) -> None:
    async with Sink(tls=shown(RIGHT, directory=tmp_path)) as sink:
        there = Host("localhost", ip_address("127.0.0.1"), sink.port)
        transport = Transport(
            FixedHosts((there,)), Manners("relay.ours.example", (), CALM), contexts,
            security=world.security,
        )  # fmt: skip
        for found in (Finding(), Finding(ENFORCE), Finding(ENFORCE)):
            world.found = found
            assert isinstance((await transport.deliver(BY_MX, work(), content()))[0], Delivered)
        await transport.close()
    assert sink.sessions == 2
