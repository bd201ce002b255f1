"""A report about TLS as JSON and as a message (RFC 8460 §4, §5). Pure."""

import base64
import gzip
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from posthouse.delivery.tls_results import Day, Failure, Tally
from posthouse.mail.address import AddressError, Mailbox, parse_mailbox
from posthouse.mail.message import date_field, message_id_field

PLACES_MAX: Final = 4
"""Places one domain can have its report sent to."""
MEDIA_TYPE: Final = "application/tlsrpt+gzip"
_RECORD: Final = re.compile(r"v=TLSRPTv1\s*;.*", re.DOTALL)
_TEXT: Final = (
    "This is a report about TLS between {host} and the mail servers of {domain},\r\n"
    "for {day} (UTC), because {domain} asks for it in its DNS (RFC 8460).\r\n"
    "\r\n"
    "Sessions that were protected as they should be: {successes}\r\n"
    "Sessions that were not: {failures}\r\n"
    "\r\n"
    "The attachment has the details for programs.\r\n"
)


class Submitter(Struct, frozen=True):
    """Who reports.

    Attributes:
        hostname: Our name.
        author: Who sends the reports and reads answers.
        organization: Name of ours for people.
    """

    hostname: str
    author: Mailbox
    organization: str


def places_in(texts: Sequence[str]) -> tuple[str, ...]:
    """Return where reports go, ``mailto:`` and ``https:``, by the records of ``_smtp._tls.DOMAIN``.

    None where there is no record, or more than one (RFC 8460 §3).
    """
    records = [it for it in texts if _RECORD.fullmatch(it)]
    if len(records) != 1:
        return ()
    pairs = (part.partition("=") for part in records[0].split(";"))
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    places = [it.strip() for it in fields.get("rua", "").split(",")]
    return tuple(it for it in places if it.startswith(("mailto:", "https://")))[:PLACES_MAX]


def mailbox_in(place: str) -> Mailbox | None:
    """Return whom a ``mailto:`` means; None if that is no address."""
    try:
        return parse_mailbox(unquote(urlsplit(place).path))
    except (AddressError, ValueError):
        return None


def report_of(day: Day, submitter: Submitter, report_id: str) -> bytes:
    """Return the report, as JSON in gzip."""
    begin = datetime.combine(day.day, time(), UTC)
    report = {
        "organization-name": submitter.organization,
        "date-range": {
            "start-datetime": _instant(begin),
            "end-datetime": _instant(_end(begin)),
        },
        "contact-info": str(submitter.author),
        "report-id": report_id,
        "policies": [_policy(it, day.domain) for it in day.tallies],
    }
    return gzip.compress(json.dumps(report, ensure_ascii=True).encode(), mtime=0)


def message_of(day: Day, to: Mailbox, submitter: Submitter, unique: str, now: datetime) -> bytes:
    """Return the report as a message (RFC 8460 §5.3)."""
    report_id = report_id_of(day, submitter)
    octets = report_of(day, submitter, report_id)
    boundary = f"=_{unique}"
    text = _TEXT.format(
        host=submitter.hostname,
        domain=day.domain,
        day=day.day.isoformat(),
        successes=sum(it.successes for it in day.tallies),
        failures=sum(it.failures for it in day.tallies),
    )
    begin = int(datetime.combine(day.day, time(), UTC).timestamp())
    file = f"{submitter.hostname}!{day.domain}!{begin}!{begin + 86399}!{unique}.json.gz"
    head = (
        f"From: <{submitter.author}>\r\nTo: <{to}>\r\n"
        f"Subject: Report Domain: {day.domain}\r\n Submitter: {submitter.hostname}\r\n"
        f" Report-ID: <{report_id}>\r\n"
    ).encode()
    head += date_field(now) + message_id_field(unique, submitter.hostname)
    body = (
        f"TLS-Report-Domain: {day.domain}\r\nTLS-Report-Submitter: {submitter.hostname}\r\n"
        "TLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type="tlsrpt"; boundary="{boundary}"\r\n'
        f"\r\n--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{text}"
        f"\r\n--{boundary}\r\nContent-Type: {MEDIA_TYPE}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        f'Content-Disposition: attachment;\r\n filename="{file}"\r\n\r\n'
        f"{_lines(octets)}\r\n--{boundary}--\r\n"
    )
    return head + body.encode("ascii")


def report_id_of(day: Day, submitter: Submitter) -> str:
    """Return the id of a report: the same if it is sent twice."""
    return f"{day.day.isoformat()}.{day.domain}@{submitter.hostname}"


def _policy(tally: Tally, domain: str) -> dict[str, object]:
    policy: dict[str, object] = {"policy-type": tally.policy.kind}
    if tally.policy.strings:
        policy["policy-string"] = list(tally.policy.strings)
    policy["policy-domain"] = domain
    if tally.policy.hosts:
        policy["mx-host"] = list(tally.policy.hosts)
    found: dict[str, object] = {
        "policy": policy,
        "summary": {
            "total-successful-session-count": tally.successes,
            "total-failure-session-count": tally.failures,
        },
    }
    if tally.details:
        found["failure-details"] = [_failure(it) for it in tally.details]
    return found


def _failure(one: Failure) -> dict[str, object]:
    found: dict[str, object] = {
        "result-type": str(one.trouble),
        "receiving-mx-hostname": one.host,
        "failed-session-count": one.sessions,
    }
    if one.sending:
        found["sending-mta-ip"] = one.sending
    if one.address:
        found["receiving-ip"] = one.address
    if one.words:
        found["failure-reason-code"] = one.words
    return found


def _end(begin: datetime) -> datetime:
    return begin + timedelta(days=1) - timedelta(seconds=1)


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _lines(octets: bytes) -> str:
    text = base64.b64encode(octets).decode("ascii")
    return "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
