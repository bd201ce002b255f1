"""Signing what goes out to other servers: mail of our people by DKIM, what we forward by ARC.

Only mail that came through a door, or was made here, is signed for a domain of ours: what a
stranger brings may name our domain in its From field without any right to it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from posthouse.authentication.signatures.arc_sealing import seal_fields
from posthouse.authentication.signatures.body_hash import BodyHash
from posthouse.authentication.signatures.keys import (
    BadKeyError,
    Kind,
    kind_of,
    parse_key_record,
)
from posthouse.authentication.signatures.signing import BODY_KIND, Signer, signature_fields
from posthouse.delivery.attempts import Carrier
from posthouse.delivery.content import Content
from posthouse.delivery.outcomes import Outcome
from posthouse.delivery.routes import Route
from posthouse.delivery.signing_keys import KeyFileError, SigningKeys, StoredKey
from posthouse.dns.answers import Answer, TemporaryFailure, TextResult
from posthouse.mail.envelope import Envelope
from posthouse.mail.message import HeaderSection, authorship, header_end
from posthouse.mail.reencoding import Fit
from posthouse.spool.records import Work
from posthouse.telemetry.events import LogEvent, Noted

LOOK_EVERY: Final = timedelta(seconds=5)  # for changed keys
REMEMBERED_MAX: Final = 2000  # messages signed, for their other next hops; domains with keys
UNREADABLE: Final = -1  # no state of a directory: looked at again and again
TOLD_AGAIN: Final = timedelta(hours=12)


class _Known(Struct, frozen=True):
    """What was seen of a domain's keys."""

    state: int
    looked: datetime
    keys: tuple[StoredKey, ...]


class KeyRing:
    """The keys that can be used now: in use, and published."""

    def __init__(
        self,
        keys: SigningKeys,
        texts: Callable[[str], Awaitable[TextResult]],
        *,
        now: Callable[[], datetime],
        log: Callable[[LogEvent], None],
    ) -> None:
        """Take the directory and what asks DNS for text records, with a cache."""
        self._keys = keys
        self._texts = texts
        self._now = now
        self._log = log
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._published: dict[str, bool] = {}  # by name of the record: the last certain answer
        self._told: dict[str, datetime] = {}
        self._looked: datetime | None = None
        self._is_empty = False

    def is_empty(self) -> bool:
        """Whether no domain has a key: then nothing need be looked at; seen every few seconds."""
        now = self._now()
        if self._looked is None or now - self._looked >= LOOK_EVERY:
            self._looked, self._is_empty = now, not self._keys.any()
        return self._is_empty

    async def signers(self, domain: str) -> tuple[Signer, ...]:
        """Return the signers for a domain, or for the one above it that has keys; perhaps none."""
        name = domain
        while not (keys := self._in_use(name)) and "." in name:
            name = name.partition(".")[2]
        found = [key for key in keys if await self._is_published(key)]
        return tuple(Signer(key.domain, key.selector, key.key) for key in found)

    def _in_use(self, domain: str) -> tuple[StoredKey, ...]:
        """The keys of a domain; every few seconds it is seen whether they changed."""
        now, known = self._now(), self._known.get(domain)
        if known is not None and now - known.looked < LOOK_EVERY:
            return known.keys
        state = self._keys.state(domain)
        if known is None or state != known.state:
            keys = self._read(domain) if state else ()
            known = _Known(UNREADABLE if keys is None else state, now, keys or ())
        self._known[domain] = replace(known, looked=now)
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return known.keys

    def _read(self, domain: str) -> tuple[StoredKey, ...] | None:
        """The keys in use; None if one cannot be read."""
        try:
            return tuple(key for key in self._keys.of(domain) if key.retired is None)
        except KeyFileError as problem:
            self._tell(str(problem), f"mail of {domain} is not signed: {problem}")
            return None

    async def _is_published(self, key: StoredKey) -> bool:
        """Whether others can verify what it signs; of a silent DNS, what it said last."""
        found = await self._texts(key.name)
        if isinstance(found, TemporaryFailure):
            return self._published.get(key.name, False)
        published = isinstance(found, Answer) and is_record_of(key, found.values)
        self._published[key.name] = published
        if not published:
            where = f"{key.name} is not in DNS as it should be"
            self._tell(key.name, f"{where}: mail is not signed with it (posthouse dns records)")
        return published

    def _tell(self, what: str, words: str) -> None:
        """Say it once in a while."""
        now = self._now()
        told = self._told.get(what)
        if told is None or now - told >= TOLD_AGAIN:
            self._told[what] = now
            self._log(Noted(words))


def is_record_of(key: StoredKey, texts: tuple[str, ...]) -> bool:
    """Whether one of the texts publishes the key."""
    ours = parse_key_record(key.record).key
    assert ours is not None
    for text in texts:
        try:
            published = parse_key_record(text).key
        except BadKeyError:
            continue
        if published == ours:
            return True
    return False


class Post(Struct, frozen=True):
    """Who we are where we forward.

    Attributes:
        hostname: Our name in the results fields that we write.
        domain: For which forwarded mail is sealed; "" for none.
        signs: Mail of our people is signed.
    """

    hostname: str
    domain: str = ""
    signs: bool = True


class SigningCarrier:
    """Signs on the way to another carrier.

    Attributes:
        post: Who we are; replaced by a reload.
    """

    def __init__(
        self, carrier: Carrier, ring: KeyRing, post: Post, now: Callable[[], datetime]
    ) -> None:
        self.post = post
        self._carrier = carrier
        self._ring = ring
        self._now = now
        self._done: OrderedDict[str, bytes] = OrderedDict()

    def deliver(self, route: Route, work: Work, content: Content) -> Awaitable[dict[int, Outcome]]:
        """Try once; by place in the envelope."""
        if self._ring.is_empty():
            return self._carrier.deliver(route, work, content)
        return self._sign_and_deliver(route, work, content)

    async def _sign_and_deliver(
        self, route: Route, work: Work, content: Content
    ) -> dict[int, Outcome]:
        fields = self._done.get(work.id)
        if fields is None:
            fields = await self._fields(work.envelope, content)
            if fields:
                self._done[work.id] = fields
            while len(self._done) > REMEMBERED_MAX:
                self._done.popitem(last=False)
        if fields:
            content = _Signed(content, fields, lambda it: self._fields(work.envelope, it))
        return await self._carrier.deliver(route, work, content)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._carrier.close()

    async def _fields(self, envelope: Envelope, content: Content) -> bytes:
        """What is put before the content; nothing if nobody may or can sign."""
        header = content.header
        if not is_ours(envelope):
            return await self._seal(header, content)
        writers = authorship(header)
        domains = {mailbox.domain for mailbox in writers.authors or ()}
        if not self.post.signs or writers.from_fields != 1 or len(domains) != 1:
            return b""
        signers = await self._ring.signers(domains.pop())
        if not signers:
            return b""
        return signature_fields(header, await _digest(content), signers, self._now())

    async def _seal(self, header: HeaderSection, content: Content) -> bytes:
        """A new set of the chain, with what was found when the message came."""
        results = own_results(header, self.post.hostname)
        if not results or not self.post.domain:
            return b""
        signers = await self._ring.signers(self.post.domain)
        rsa = [it for it in signers if is_rsa(it)]  # few verifiers of ARC know Ed25519
        if not rsa:
            return b""
        return seal_fields(header, await _digest(content), rsa[0], results, self._now())


def is_ours(envelope: Envelope) -> bool:
    """Whether mail came from our people or was made here."""
    return bool(envelope.account or envelope.recognised or not envelope.listener)


def own_results(header: HeaderSection, hostname: str) -> bytes:
    """Return the value of the results field that we wrote; forged ones were taken away."""
    begin = hostname.encode() + b";"
    for value in header.fields("Authentication-Results"):
        if value.startswith(begin):
            return value
    return b""


class _Signed(Content):
    """A content with our signature, which is made anew where the content is converted."""

    def __init__(
        self, content: Content, fields: bytes, sign: Callable[[Content], Awaitable[bytes]]
    ) -> None:
        super().__init__(_Before(fields, content), "", len(fields) + content.octets)
        self._unsigned = content
        self._sign = sign

    async def fitted(self, fit: Fit) -> Content:
        """Convert first: a signature must be over what is sent (RFC 6376 §5.3)."""
        narrow = await self._unsigned.fitted(fit)
        return self if narrow is self._unsigned else with_fields(narrow, await self._sign(narrow))


def with_fields(content: Content, fields: bytes) -> Content:
    """Return a content with fields before it."""
    if not fields:
        return content
    return Content(_Before(fields, content), "", len(fields) + content.octets)


class _Before:
    """The source of a content that has further fields."""

    def __init__(self, fields: bytes, content: Content) -> None:
        self._fields = fields
        self._content = content

    def content(self, message_id: str) -> Iterator[bytes]:
        del message_id
        yield self._fields
        yield from self._content.parts()


async def _digest(content: Content) -> bytes:
    if content.is_small:
        return _hash(content)
    return await asyncio.to_thread(_hash, content)


def _hash(content: Content) -> bytes:
    """The hash of the body; blocks for large ones."""
    hashing, head = BodyHash(BODY_KIND), b""
    in_body = False
    for part in [content.whole()] if content.is_small else content.parts():
        if in_body:
            hashing.take(part)
            continue
        head += part
        end = header_end(head)
        if end >= 0:
            hashing.take(head[end + 2 :])
            in_body = True
    return hashing.end().digest


def is_rsa(signer: Signer) -> bool:
    """Whether a signer's key is RSA."""
    return kind_of(signer.key) is Kind.RSA
