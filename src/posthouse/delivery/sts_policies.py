"""The MTA-STS policies of other domains: fetched, kept, fetched again (RFC 8461 §3.3, §5.1).

What was fetched is kept on disk until its ``max_age``, so that neither a restart nor somebody who
suppresses an answer of DNS or of the web takes a policy away.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct, structs

from posthouse.delivery.mta_sts import Policy, PolicyError, parse_policy, policy_id
from posthouse.delivery.tls_terms import Trouble
from posthouse.dns.answers import Answer, TextResult
from posthouse.wire.https import HttpsError, Page

KEPT_MAX: Final = 10_000
FAILURE_KEPT: Final = timedelta(minutes=5)
"""So long a domain whose policy could not be fetched is not asked again (§3.3)."""
REFRESH_AFTER: Final = timedelta(days=1)
"""A policy is fetched again so often, so that it is not missed when it is needed (§3.3, §10.2)."""
PATH: Final = "/.well-known/mta-sts.txt"


class Texts(Protocol):
    """Looks TXT records up."""

    async def txt(self, name: str) -> TextResult:
        """Return the text records of a name."""
        ...


class Web(Protocol):
    """Fetches pages whose host is verified."""

    async def get(self, host: str, path: str) -> Page:
        """Return a page; raises HttpsError."""
        ...


class Kept(Struct, frozen=True):
    """A policy with its id in DNS and when it was fetched."""

    id: str
    policy: Policy
    fetched: datetime


class Finding(Struct, frozen=True):
    """What is known about a domain.

    Attributes:
        policy: The one in force; None: there is none.
        trouble: Why there is no fresh one, for reports; None where all is well.
        words: The same for people.
    """

    policy: Policy | None = None
    trouble: Trouble | None = None
    words: str = ""


NOTHING: Final = Finding()


class StsPolicies:
    """Finds the policy of a domain. Belongs to one event loop.

    Attributes:
        tell: Told of each policy that was fetched, with its domain.
    """

    def __init__(
        self,
        resolver: Texts,
        web: Web,
        path: Path,
        *,
        now: Callable[[], datetime],
        saves: bool = True,
    ) -> None:
        """Read what was kept at `path`; a file that cannot be read is begun anew.

        Where it is another process that `saves`, this one `tell`s what that has to `learn`.
        """
        self.tell: Callable[[str, Kept], None] = lambda *_: None
        self._saves = saves
        self._writes: set[asyncio.Task[None]] = set()
        self._resolver = resolver
        self._web = web
        self._path = path
        self._now = now
        self._kept = _read(path)
        self._failed: OrderedDict[str, tuple[datetime, Finding]] = OrderedDict()
        self._flights: dict[str, asyncio.Task[Finding]] = {}
        self._writing = asyncio.Lock()

    async def find(self, domain: str) -> Finding:
        """Return the policy of a domain; what is kept is never given up before its time."""
        if domain.startswith("["):
            return NOTHING
        now = self._now()
        kept = self._kept.get(domain)
        if kept is not None and kept.fetched + kept.policy.max_age <= now:
            kept = None
        found = await self._resolver.txt(f"_mta-sts.{domain}")
        current = policy_id(found.values) if isinstance(found, Answer) else ""
        if kept is None:
            return await self._fetch(domain, current) if current else NOTHING
        if current and current != kept.id:
            fresh = await self._fetch(domain, current)
            return fresh if fresh.policy else structs.replace(fresh, policy=kept.policy)
        if current and now - kept.fetched > min(REFRESH_AFTER, kept.policy.max_age / 2):
            self._begin(domain, current)  # beside the delivery
        return Finding(kept.policy)

    def learn(self, domain: str, kept: Kept) -> None:
        """Keep a policy that somebody else fetched."""
        known = self._kept.get(domain)
        if known is None or known.fetched < kept.fetched:
            self._keep(domain, kept)
            task = asyncio.create_task(self._write())
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def settle(self) -> None:
        """Return when nothing is being fetched."""
        await asyncio.gather(*self._flights.values(), *self._writes, return_exceptions=True)

    async def close(self) -> None:
        """Give up what is being fetched."""
        flights = list(self._flights.values())
        for task in flights:
            task.cancel()
        await asyncio.gather(*flights, *self._writes, return_exceptions=True)

    async def _fetch(self, domain: str, current: str) -> Finding:
        flight = self._begin(domain, current)
        return await asyncio.shield(flight) if isinstance(flight, asyncio.Task) else flight

    def _begin(self, domain: str, current: str) -> asyncio.Task[Finding] | Finding:
        """One request for all who ask; after a failure, none for a while."""
        at, failure = self._failed.get(domain, (None, NOTHING))
        if at is not None and abs(self._now() - at) < FAILURE_KEPT:
            return failure
        if domain not in self._flights:
            task = asyncio.create_task(self._fetched(domain, current))
            self._flights[domain] = task
            task.add_done_callback(lambda _: self._flights.pop(domain, None))
        return self._flights[domain]

    async def _fetched(self, domain: str, current: str) -> Finding:
        try:
            page = await self._web.get(f"mta-sts.{domain}", PATH)
            policy = _policy_on(page)
        except HttpsError as error:
            trouble = Trouble.STS_WEB_PKI if error.certificate else Trouble.STS_FETCH
            return self._note_failure(domain, Finding(None, trouble, str(error)))
        except PolicyError as error:
            return self._note_failure(domain, Finding(None, Trouble.STS_POLICY, str(error)))
        self._failed.pop(domain, None)
        kept = Kept(current, policy, self._now())
        self._keep(domain, kept)
        self.tell(domain, kept)
        await self._write()
        return Finding(policy)

    def _keep(self, domain: str, kept: Kept) -> None:
        self._kept[domain] = kept
        self._kept.move_to_end(domain)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    def _note_failure(self, domain: str, finding: Finding) -> Finding:
        self._failed[domain] = (self._now(), finding)
        self._failed.move_to_end(domain)
        while len(self._failed) > KEPT_MAX:
            self._failed.popitem(last=False)
        return finding

    async def _write(self) -> None:
        """Keep all on disk; if that fails it is fetched again after a restart."""
        if not self._saves:
            return
        async with self._writing:
            octets = msgspec.json.encode(dict(self._kept))
            try:
                await asyncio.to_thread(_replace, self._path, octets)
            except OSError:
                return


def _policy_on(page: Page) -> Policy:
    if page.media_type != "text/plain":
        raise PolicyError(f"the policy is not text/plain: {page.media_type[:40]!a}")
    return parse_policy(page.body)


def _read(path: Path) -> OrderedDict[str, Kept]:
    try:
        return OrderedDict(msgspec.json.decode(path.read_bytes(), type=dict[str, Kept]))
    except (OSError, msgspec.DecodeError):
        return OrderedDict()


def _replace(path: Path, octets: bytes) -> None:
    """Write a file so that it is there whole or as it was."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(octets)
    os.replace(beside, path)
