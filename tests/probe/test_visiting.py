"""What odd servers make of a visit: each way of failing has its own name."""

import contextlib
import socket
import ssl
from pathlib import Path

import pytest

from posthouse.doctor.causes import Cause
from posthouse.probe.certificate import Trust, TrustProblem
from posthouse.probe.consent import Consent
from posthouse.probe.doors import Door, Reach, Service, Visit
from posthouse.probe.trial import Ending, Kind, Trials
from posthouse.probe.visiting import Manner, visit
from tests.probe.places import NAME, certificate, seen_at
from tests.probe.toy_host import ToyHost

EHLO = "250-toy.example\n250-SIZE 1000\n250-STARTTLS\n250 AUTH PLAIN"


def server_tls(directory: Path, *names: str) -> tuple[ssl.SSLContext, Trust]:
    chain, key, authority = certificate(directory, *(names or (NAME,)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context, Trust(str(authority))


async def look(host: ToyHost, service: Service, trust: Trust = Trust()) -> Visit:  # noqa: B008
    manner = Manner(seconds=0.6, trust=trust)
    return await visit(NAME, Door(service, host.port), ["127.0.0.1"], manner)


@pytest.mark.parametrize(
    ("greeting", "service", "reach"),
    [
        ("", Service.SMTP, Reach.SILENT),
        ("SSH-2.0-OpenSSH_9.2", Service.SMTP, Reach.BROKEN),
        ("HTTP/1.1 400 Bad Request", Service.POP3, Reach.BROKEN),
        ("554 5.7.1 198.51.100.7 is on our block list", Service.SMTP, Reach.TURNED_AWAY),
        ("421 4.3.2 too busy", Service.SUBMISSION, Reach.TURNED_AWAY),
        ("-ERR too many connections", Service.POP3, Reach.TURNED_AWAY),
        ("220 " + "x" * 10_000, Service.SMTP, Reach.BROKEN),
    ],
)
async def test_what_is_no_service_is_told_apart(
    greeting: str, service: Service, reach: Reach
) -> None:
    async with ToyHost(greeting, {}).running() as host:
        seen = await look(host, service)
    assert seen.reach is reach
    assert seen.trouble


async def test_nothing_listening_is_refused_and_no_address_is_no_address() -> None:
    refused = await visit(NAME, Door(Service.SMTP, 1), ["127.0.0.1"], Manner(seconds=0.5))
    assert refused.reach is Reach.REFUSED
    nowhere = await visit(NAME, Door(Service.SMTP, 25), [], Manner(seconds=0.5))
    assert nowhere.reach is Reach.NO_ADDRESS


async def test_no_answer_at_all_is_filtered() -> None:
    """A full queue drops what comes, as a firewall does."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        place = listening.getsockname()
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(place)
        door = Door(Service.SMTP, place[1])
        seen = await visit(NAME, door, ["127.0.0.1"], Manner(seconds=0.3))
    assert seen.reach is Reach.FILTERED


async def test_a_server_that_never_ends_its_answer_is_given_up() -> None:
    endless = "\n".join(["250-more"] * 400)
    async with ToyHost("220 toy", {"EHLO": endless}).running() as host:
        seen = await look(host, Service.SMTP)
    assert seen.reach in (Reach.BROKEN, Reach.SILENT)


async def test_a_server_that_knows_only_helo_offers_nothing() -> None:
    async with ToyHost("220 toy", {"EHLO": "502 what?"}).running() as host:
        seen = await look(host, Service.SMTP)
    assert seen.is_open
    assert seen.offer.mechanisms == ()
    assert any(it.startswith("HELO") for it in host.heard)


async def test_sign_in_before_encryption_is_seen(tmp_path: Path) -> None:
    context, trust = server_tls(tmp_path)
    answers = {"EHLO": EHLO, "STARTTLS": "220 go"}
    async with ToyHost("220 toy", answers, tls=context).running() as host:
        seen = await look(host, Service.SUBMISSION, trust)
    assert seen.is_trusted
    assert seen.clear is not None
    assert seen.clear.mechanisms == ("PLAIN",)
    assert seen.clear.size_octets_max == 1000


async def test_starttls_that_is_offered_and_refused_is_no_encryption() -> None:
    answers = {"EHLO": EHLO, "STARTTLS": "454 4.7.0 TLS not available"}
    async with ToyHost("220 toy", answers).running() as host:
        seen = await look(host, Service.SUBMISSION)
    assert seen.is_open
    assert seen.tls is None
    assert "454" in seen.trouble


async def test_a_firewall_that_hides_starttls_is_noticed() -> None:
    answers = {"EHLO": "250-toy\n250-XXXXXXXA\n250 HELP"}
    greeting = "220 **************************"
    async with ToyHost(greeting, answers).running() as host:
        seen = await look(host, Service.SMTP)
    assert seen.trouble == "STARTTLS hidden"


async def test_plain_text_where_tls_should_be_is_broken() -> None:
    async with ToyHost("220 toy", {}).running() as host:
        seen = await look(host, Service.SUBMISSIONS)
    assert not seen.is_open
    assert seen.trouble


@pytest.mark.filterwarnings("ignore:ssl.OP_NO:DeprecationWarning")
async def test_old_versions_only_are_named(tmp_path: Path) -> None:
    context, trust = server_tls(tmp_path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3  # as a server of 2010
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    host = ToyHost("220 toy", {"EHLO": "250 toy"}, tls=context, from_start=True)
    async with host.running():
        seen = await look(host, Service.SUBMISSIONS, trust)
    assert seen.tls is not None
    assert seen.tls.problem is TrustProblem.OLD_TLS
    assert seen.tls.version in {"TLSv1", "TLSv1.1"}


async def test_a_pop_server_without_capa_can_be_signed_in_to() -> None:
    async with ToyHost("+OK ready", {"CAPA": "-ERR what?"}).running() as host:
        seen = await look(host, Service.POP3)
    assert seen.is_open
    assert seen.offer.mechanisms == ("USER",)


async def attempts_at(answers: dict[str, str], consent: Consent) -> Trials:
    async with ToyHost("220 toy", answers).running() as host:
        manner = Manner(seconds=0.6)
        seen = await visit(NAME, Door(Service.SMTP, host.port), ["127.0.0.1"], manner)
        trials = Trials([seen], consent, manner)
        await trials.run()
        assert "DATA" not in host.heard
        return trials


@pytest.mark.parametrize(
    ("answers", "ending", "cause"),
    [
        ({"RCPT": "250 fine"}, Ending.ACCEPTED, None),
        ({"RCPT": "554 5.7.1 <x@y>: Relay access denied"}, Ending.REFUSED, Cause.RELAY_DENIED),
        ({"RCPT": "450 4.7.1 Greylisted, try later"}, Ending.DEFERRED, Cause.GREYLISTED),
        ({"MAIL": "550 5.7.1 Sender blocked by 198.51.100.7"}, Ending.REFUSED, None),
        ({"RCPT": "nonsense"}, Ending.FAILED, None),
    ],
)
async def test_the_words_at_rcpt_decide(
    answers: dict[str, str], ending: Ending, cause: Cause | None
) -> None:
    trials = await attempts_at(answers, Consent(host=NAME, relay=True))
    (tried,) = trials.attempts
    assert (tried.kind, tried.ending) == (Kind.RELAY_UNSIGNED, ending)
    assert cause in (None, tried.cause)


async def test_cram_md5_is_spoken_where_nothing_plainer_is_offered() -> None:
    answers = {
        "EHLO": "250-toy\n250 AUTH CRAM-MD5",
        "AUTH": "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
        "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw": "235 yes",
    }
    asked = Consent(host=NAME, user="tim", password="tanstaaftanstaaf", untrusted=True)
    trials = await attempts_at(answers, asked)
    (tried,) = trials.attempts
    assert (tried.kind, tried.ending) == (Kind.SIGN_IN, Ending.ACCEPTED)  # the pair of RFC 2195


@pytest.mark.parametrize(
    ("offer", "detail"),
    [
        ("250-toy\n250 AUTH GSSAPI", "no-mechanism"),
        ("250 toy", "no-mechanism"),
    ],
)
async def test_what_cannot_be_tried_is_skipped_with_a_reason(offer: str, detail: str) -> None:
    asked = Consent(host=NAME, user="tim", password="x", untrusted=True)
    trials = await attempts_at({"EHLO": offer}, asked)
    (tried,) = trials.attempts
    assert (tried.ending, tried.detail) == (Ending.SKIPPED, detail)


async def test_a_host_with_no_port_open_skips_what_was_asked_for() -> None:
    asked = Consent(
        host=NAME, doors=(Door(Service.SMTP, 1),), published=False, user="tim", password="x"
    )  # fmt: skip
    seen = await seen_at(asked, Manner(seconds=0.5))
    assert [(it.ending, it.detail) for it in seen.attempts] == [(Ending.SKIPPED, "no-door")]
