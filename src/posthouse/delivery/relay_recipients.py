"""Who exists behind a domain that we only pass on: by a list, or by asking its server.

Without that everything is accepted for such a domain, and what its server then refuses would have
to be returned to reverse-paths that may be forged.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct

from posthouse.delivery.outcomes import Delivered, Failed, Outcome
from posthouse.mail.address import AddressError, Mailbox, parse_mailbox

KNOWN_MAX: Final = 100_000
ASKED_AT_ONCE_MAX: Final = 50
SECONDS_MAX: Final = 20.0
FRESH: Final = timedelta(hours=2)
"""So long an address that exists is not asked for again."""
KEPT: Final = timedelta(days=7)
"""So long it is believed while the server does not answer."""
REFUSED_KEPT: Final = timedelta(minutes=15)
_NO_SUCH: Final = ("5.1.", "5.2.1", "5.0.0", "5.4.1", "5.5.")
"""With these a refusal is about the recipient; any other, as 5.7.1, is about us."""

Probe = Callable[[Mailbox], Awaitable[Outcome]]


class _Known(Struct, frozen=True):
    exists: bool
    at: datetime


class RecipientRules(Struct, frozen=True):
    """How recipients are known, by domain.

    Attributes:
        listed: Local parts and addresses in a file, folded; all others do not exist.
        asked: Domains whose server is asked.
    """

    listed: Mapping[str, frozenset[str]] = {}
    asked: frozenset[str] = frozenset()


class RelayRecipients:
    """Answers at once where it can, and asks where it must.

    Attributes:
        rules: Replaced by a reload.
    """

    def __init__(self, rules: RecipientRules, probe: Probe, now: Callable[[], datetime]) -> None:
        self.rules = rules
        self._probe = probe
        self._now = now
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(ASKED_AT_ONCE_MAX)

    def exists(self, mailbox: Mailbox) -> bool | None:
        """Whether the server behind our relay takes an address; None if nobody could tell."""
        listed = self.rules.listed.get(mailbox.domain)
        if listed is not None:
            folded = mailbox.folded
            return folded.local_part in listed or str(folded) in listed
        if mailbox.domain not in self.rules.asked:
            return True
        known = self._known.get(str(mailbox))
        age = self._now() - known.at if known else KEPT
        if known is None or age >= (KEPT if known.exists else REFUSED_KEPT):
            return None
        return known.exists

    def must_ask(self, mailbox: Mailbox) -> bool:
        """Whether `ask` would find out more than `exists` knows."""
        if mailbox.domain not in self.rules.asked or mailbox.domain in self.rules.listed:
            return False
        known = self._known.get(str(mailbox))
        age = self._now() - known.at if known else KEPT
        return known is None or age >= (FRESH if known.exists else REFUSED_KEPT)

    def ask(self, mailbox: Mailbox, done: Callable[[], None]) -> None:
        """Ask the server, and call `done` on the loop when there is an answer, or none in time."""
        name = str(mailbox)
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.create_task(self._ask(mailbox))
            task.add_done_callback(lambda _: self._asking.pop(name, None))
        task.add_done_callback(lambda _: done())

    async def close(self) -> None:
        """Ask no more."""
        tasks = tuple(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, mailbox: Mailbox) -> None:
        try:
            async with asyncio.timeout(SECONDS_MAX), self._room:
                outcome = await self._probe(mailbox)
        except TimeoutError:
            return
        exists = _meaning(outcome)
        if exists is not None:
            self._known[str(mailbox)] = _Known(exists, self._now())
            self._known.move_to_end(str(mailbox))
            while len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)


def _meaning(outcome: Outcome) -> bool | None:
    match outcome:
        case Delivered():
            return True
        case Failed(status=status) if status.startswith(_NO_SUCH):
            return False
        case _:
            return None


def read_recipients(path: Path) -> frozenset[str]:
    """Return what a file lists: addresses or local parts, one a line, ``#`` begins a remark.

    Raises:
        OSError, UnicodeDecodeError: If it cannot be read.
        AddressError: If a line is no address.
    """
    found = set()
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            whole = parse_mailbox(text if "@" in text else f"{text}@example.com").folded
        except AddressError as problem:
            raise AddressError(f"{path}, line {number}: {problem}") from None
        found.add(str(whole) if "@" in text else whole.local_part)
    return frozenset(found)
