"""What follows from what was seen: which settings to use, what is wrong, and who can mend it."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import Context, Diagnosis, diagnose
from posthouse.doctor.settings import Outgoing
from posthouse.policy.reasons import Fixer
from posthouse.probe.certificate import OLD_VERSIONS, TrustProblem
from posthouse.probe.client_settings import HostSeen
from posthouse.probe.doors import Offer, Reach, Service, Visit
from posthouse.probe.published import Source
from posthouse.probe.trial import Ending, Kind, Tried

ENDS_SOON: Final = timedelta(days=14)
_PLAIN: Final = frozenset({"PLAIN", "LOGIN", "USER"})
_SUBMISSION: Final = (Service.SUBMISSIONS, Service.SUBMISSION)
_FETCHING: Final = (Service.POP3S, Service.POP3)
_SECURITY: Final = {True: "SSL/TLS", False: "STARTTLS"}
# A server's program shows this where a firewall overwrites what it says.
_MASKED: Final = "****"
_OF_PORT: Final = frozenset({"port", "detail"})


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"  # somebody should know
    PROBLEM = "problem"  # somebody should act


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that follows.

    Attributes:
        id: Stable name; ``probe-finding-ID`` is the key of its sentence.
        fixer: Who can mend it; None where nothing is wrong.
        fields: What goes into the sentence; values are the same in each language.
    """

    id: str
    severity: Severity
    fixer: Fixer | None = None
    fields: dict[str, str] = {}


class Verdict(Struct, frozen=True, kw_only=True):
    """The answer.

    Attributes:
        outgoing: The settings to send with; None if nothing works from here.
        trusted: The server of these settings is trusted: no program will warn.
        fetching: Host, port and security to fetch with.
        findings: The worst first.
        explained: What the doctor makes of the reply that decided; None if nothing was refused.
    """

    outgoing: Outgoing | None
    trusted: bool
    fetching: Outgoing | None
    findings: tuple[Finding, ...]
    explained: Diagnosis | None

    @property
    def worst(self) -> Severity:
        """How bad the worst is."""
        return self.findings[0].severity if self.findings else Severity.OK


def judge(seen: HostSeen, user: str, now: datetime) -> Verdict:
    """Draw the conclusions.

    Args:
        seen: What was found out.
        user: The user's name, or "".
        now: For certificates that end.
    """
    found: list[Finding] = []
    for topic in (_naming, _reaching, _encrypting, _signing_in, _interception, _publishing):
        found += topic(seen)
    found += _ending(seen, now)
    for attempt in seen.attempts:
        found += _tried(attempt)
    order = list(Severity)
    found.sort(key=lambda it: -order.index(it.severity))
    outgoing = _outgoing(seen, user)
    return Verdict(
        outgoing=outgoing,
        trusted=outgoing is not None and _is_trusted(seen, outgoing),
        fetching=_fetching(seen, user),
        findings=_gathered(found),
        explained=_explained(seen),
    )


def _gathered(found: list[Finding]) -> tuple[Finding, ...]:
    """Say the same about several ports once."""
    ports: dict[tuple[object, ...], list[str]] = {}
    first: dict[tuple[object, ...], Finding] = {}
    for it in found:
        rest = tuple(item for item in it.fields.items() if item[0] not in _OF_PORT)
        key = (it.id, it.severity, rest)
        first.setdefault(key, it)
        ports.setdefault(key, []).append(it.fields.get("port", ""))
    return tuple(
        replace(it, fields={**it.fields, "port": ", ".join(dict.fromkeys(ports[key]))})
        if "port" in it.fields
        else it
        for key, it in first.items()
    )


# ------------------------------------------------------------------ the settings


def _is_trusted(seen: HostSeen, right: Outgoing) -> bool:
    place = (right.server, right.port)
    return any(it.is_trusted for it in seen.visits if (it.host, it.door.port) == place)


def _outgoing(seen: HostSeen, user: str) -> Outgoing | None:
    good = _by_safety(seen, (*_SUBMISSION, Service.SMTP))
    signed = [it for it in seen.attempts if it.kind is Kind.SIGN_IN]
    worked = {(it.host, it.port) for it in signed if it.ending is Ending.ACCEPTED}
    good.sort(key=lambda it: (it.host, it.door.port) not in worked)
    return _settings(good[0], user, seen) if good else None


def _fetching(seen: HostSeen, user: str) -> Outgoing | None:
    good = _by_safety(seen, _FETCHING)
    return _settings(good[0], user, seen) if good else None


def _by_safety(seen: HostSeen, services: tuple[Service, ...]) -> list[Visit]:
    """Return the doors where one can sign in encrypted: the trusted ones before the others."""
    good = [
        it
        for it in seen.visits
        if it.is_open and it.door.service in services and it.tls and it.offer.mechanisms
    ]
    return sorted(good, key=lambda it: (not it.is_trusted, services.index(it.door.service)))


def _settings(best: Visit, user: str, seen: HostSeen) -> Outgoing:
    security = _SECURITY[best.door.service.from_start]
    pattern = next((it.user for it in seen.published if it.user and it.host == best.host), "")
    return Outgoing(best.host, best.door.port, security, user or pattern)


# ------------------------------------------------------------------ topics


def _naming(seen: HostSeen) -> Iterator[Finding]:
    if seen.unnamed and not any(it.is_open for it in seen.visits):
        fixer = Fixer.NOBODY if seen.unnamed == "temporary" else Fixer.SENDER
        yield _problem(seen.unnamed, fixer, host=seen.host)


def _reaching(seen: HostSeen) -> Iterator[Finding]:
    addressed = [it for it in seen.visits if it.reach is not Reach.NO_ADDRESS]
    opened = [it for it in addressed if it.is_open]
    if addressed and not opened:
        yield from _nothing_open(seen, addressed)
    elif addressed:
        yield from _blocked(addressed, opened)
    for it in addressed:
        place = {"host": it.host, "port": str(it.door.port)}
        match it.reach:
            case Reach.TURNED_AWAY:
                yield _problem("turned-away", Fixer.OPERATOR, **place, reply=it.trouble)
            case Reach.SILENT:
                yield _problem("silent", Fixer.OPERATOR, **place)
            case Reach.BROKEN:
                yield _problem("broken", Fixer.OPERATOR, **place, trouble=it.trouble)
            case _:
                pass
        for address in it.dead:
            yield _note("dead-address", Fixer.OPERATOR, **place, address=address)


def _nothing_open(seen: HostSeen, addressed: list[Visit]) -> Iterator[Finding]:
    reaches = {it.reach for it in addressed}
    if reaches == {Reach.REFUSED}:
        yield _problem("all-refused", Fixer.SENDER, host=seen.host)
    elif reaches <= {Reach.FILTERED, Reach.UNREACHABLE, Reach.REFUSED}:
        yield _problem("all-filtered", Fixer.SENDER, host=seen.host)


def _blocked(addressed: list[Visit], opened: list[Visit]) -> Iterator[Finding]:
    services = {it.door.service for it in opened}
    closed = {
        it.door.service: it for it in addressed if it.reach in (Reach.FILTERED, Reach.UNREACHABLE)
    }
    sending = services & set(_SUBMISSION)
    if Service.SMTP not in services and Service.SMTP in closed and sending:
        yield _note("port-25-blocked", Fixer.SENDER, port=str(closed[Service.SMTP].door.port))
    tried = [it for it in addressed if it.door.service in _SUBMISSION]
    if tried and not sending:
        ports = ", ".join(dict.fromkeys(str(it.door.port) for it in tried))
        if any(it.door.service in closed for it in tried):
            yield _problem("submission-blocked", Fixer.SENDER, ports=ports)
        else:
            yield _problem("no-submission", Fixer.OPERATOR, ports=ports)


def _encrypting(seen: HostSeen) -> Iterator[Finding]:
    for it in _opened(seen):
        place = {"host": it.host, "port": str(it.door.port)}
        if it.tls is None:
            grade = _note if it.door.service is Service.SMTP else _problem
            yield grade("no-tls", Fixer.OPERATOR, **place)
            continue
        if it.tls.problem is not None:
            yield _certificate_problem(it, it.tls.problem, it.tls.detail)
        if it.tls.version in OLD_VERSIONS and it.tls.problem is not TrustProblem.OLD_TLS:
            yield _problem("certificate-old-tls", Fixer.OPERATOR, **place, detail=it.tls.version)


def _certificate_problem(it: Visit, problem: TrustProblem, detail: str) -> Finding:
    certificate = it.tls.certificate if it.tls else None
    fields = {
        "host": it.host,
        "port": str(it.door.port),
        "names": ", ".join(certificate.names[:5]) if certificate else "?",
        "ends": f"{certificate.ends:%Y-%m-%d}" if certificate else "?",
        "issuer": certificate.issuer if certificate else "?",
        "detail": detail,
    }
    # Between servers hardly anybody looks at certificates: it is no obstacle there.
    grade = _note if it.door.service is Service.SMTP else _problem
    return grade(f"certificate-{problem.value}", Fixer.OPERATOR, **fields)


def _ending(seen: HostSeen, now: datetime) -> Iterator[Finding]:
    for it in _opened(seen):
        certificate = it.tls.certificate if it.tls else None
        if certificate and now < certificate.ends < now + ENDS_SOON:
            yield _note(
                "certificate-ends-soon", Fixer.OPERATOR, host=it.host,
                ends=f"{certificate.ends:%Y-%m-%d}",
            )  # fmt: skip


def _signing_in(seen: HostSeen) -> Iterator[Finding]:
    for it in _opened(seen):
        place = {"host": it.host, "port": str(it.door.port)}
        if it.door.service in _SUBMISSION and not it.offer.mechanisms:
            yield _problem("no-sign-in", Fixer.OPERATOR, **place)
        clear = set((it.clear or Offer()).mechanisms)
        if clear & _PLAIN:
            yield _note("sign-in-in-clear", Fixer.OPERATOR, **place)
        elif it.offer.mechanisms and not set(it.offer.mechanisms) & _PLAIN:
            mechanisms = ", ".join(it.offer.mechanisms)
            yield _note("no-plain-sign-in", Fixer.OPERATOR, **place, mechanisms=mechanisms)


def _interception(seen: HostSeen) -> Iterator[Finding]:
    """Signs that somebody between here and the server takes part in the conversation."""
    for it in _opened(seen):
        if _MASKED in it.greeting or it.trouble == "STARTTLS hidden":
            yield _problem("meddling", Fixer.SENDER, host=it.host, port=str(it.door.port))
    trusted = {it.host for it in _opened(seen) if it.is_trusted}
    for it in _opened(seen):
        foreign = it.tls and it.tls.problem in (
            TrustProblem.OTHER_NAME,
            TrustProblem.SELF_SIGNED,
            TrustProblem.UNKNOWN_ISSUER,
        )
        if it.host in trusted and foreign and it.door.service is not Service.SMTP:
            yield _problem("intercepted", Fixer.SENDER, host=it.host, port=str(it.door.port))


def _publishing(seen: HostSeen) -> Iterator[Finding]:
    reached = {(it.host, it.door.port): it for it in seen.visits}
    for it in seen.published:
        if it.source is Source.AUTOCONFIG and it.place.startswith("http:"):
            yield _note("published-insecurely", Fixer.OPERATOR, place=it.place)
        visited = reached.get((it.host, it.door.port))
        if visited is not None and visited.reach in (Reach.REFUSED, Reach.NO_ADDRESS):
            yield _problem(
                "published-closed", Fixer.OPERATOR, host=it.host, port=str(it.door.port),
                source=it.place,
            )  # fmt: skip


# ------------------------------------------------------------------ what was tried


def _tried(attempt: Tried) -> Iterator[Finding]:
    fields = {
        "host": attempt.host, "port": str(attempt.port), "what": attempt.what,
        "reply": attempt.reply,
    }  # fmt: skip
    match attempt.ending:
        case Ending.SKIPPED:
            yield _note(f"skipped-{attempt.detail}", None, what=attempt.what)
        case Ending.FAILED:
            yield _problem("broken", Fixer.OPERATOR, host=attempt.host, port=fields["port"],
                           trouble=attempt.detail)  # fmt: skip
        case Ending.DEFERRED:
            yield _note("deferred", Fixer.NOBODY, **fields)
        case Ending.ACCEPTED:
            yield from _accepted(attempt, fields)
        case Ending.REFUSED:
            yield from _refused(attempt, fields)


def _accepted(attempt: Tried, fields: dict[str, str]) -> Iterator[Finding]:
    if attempt.kind is Kind.RELAY_UNSIGNED:
        yield _note("relay-unsigned-accepted", Fixer.OPERATOR, **fields)
    else:
        grade = Severity.OK
        yield Finding(id=f"{attempt.kind.value}-accepted", severity=grade, fields=fields)


def _refused(attempt: Tried, fields: dict[str, str]) -> Iterator[Finding]:
    about_recipient = attempt.cause in (Cause.RECIPIENT_DOMAIN_INVALID, Cause.MAILBOX_UNAVAILABLE)
    if about_recipient and attempt.kind is not Kind.SENDER:
        yield _note("relay-undecided", Fixer.SENDER, **fields)
    elif attempt.kind is Kind.RELAY_UNSIGNED:
        yield Finding(id="relay-unsigned-refused", severity=Severity.OK, fields=fields)
    elif attempt.kind is Kind.RELAY_AFTER_POP:
        yield _note("relay-after-pop-refused", None, **fields)
    else:
        yield _problem(f"{attempt.kind.value}-refused", Fixer.SENDER, **fields)


_DECIDES: Final = (
    Kind.SIGN_IN, Kind.RELAY_SIGNED, Kind.SENDER, Kind.POP_SIGN_IN, Kind.RELAY_UNSIGNED,
)  # fmt: skip
_SIGNED_IN: Final = (Kind.RELAY_SIGNED, Kind.SENDER)


def _explained(seen: HostSeen) -> Diagnosis | None:
    """Return the doctor's diagnosis of the refusal that keeps the person from sending.

    Being refused without signing in is as it should be; it decides only if nothing else was tried.
    """
    refused = {it.kind: it for it in reversed(seen.attempts) if it.ending is Ending.REFUSED}
    signed_in = any(
        it.kind is Kind.SIGN_IN and it.ending is Ending.ACCEPTED for it in seen.attempts
    )
    for kind in _DECIDES:
        if kind not in refused or (kind is Kind.RELAY_UNSIGNED and signed_in):
            continue
        attempt = refused[kind]
        fetched = any(
            it.kind is Kind.RELAY_AFTER_POP and it.ending is Ending.ACCEPTED for it in seen.attempts
        )
        context = Context(
            where="dialog",
            signed_in=True if kind in _SIGNED_IN else None if kind is Kind.SIGN_IN else False,
            fetch_first=fetched or None,
            port=attempt.port,
        )
        return diagnose(attempt.reply, context)
    turned = [it for it in seen.visits if it.reach is Reach.TURNED_AWAY]
    opened = any(it.is_open and not it.door.service.fetches for it in seen.visits)
    return diagnose(turned[0].trouble, Context(where="dialog")) if turned and not opened else None


def _opened(seen: HostSeen) -> Iterable[Visit]:
    return [it for it in seen.visits if it.is_open]


def _problem(id_: str, fixer: Fixer | None, **fields: str) -> Finding:
    return Finding(id=id_, severity=Severity.PROBLEM, fixer=fixer, fields=fields)


def _note(id_: str, fixer: Fixer | None, **fields: str) -> Finding:
    return Finding(id=id_, severity=Severity.NOTE, fixer=fixer, fields=fields)
