"""Delivery into our own mailboxes, along aliases, and into the Maildir of captured mail."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Final

from posthouse.accounts.store import Resolution, StoreError
from posthouse.delivery.content import Content
from posthouse.delivery.outcomes import Deferred, Delivered, Expanded, Failed, Outcome
from posthouse.mail.address import AddressError, Mailbox, parse_mailbox
from posthouse.mail.message import HeaderSection
from posthouse.mail.reencoding import ConversionError, Fit
from posthouse.mailbox.maildir import MaildirError, deliver
from posthouse.spool.records import Work
from posthouse.telemetry.events import LogEvent, StoreFailed

IN_THE_MAILBOX: Final = "250 2.0.0 in the mailbox"
REMEMBERED_MAX: Final = 10_000


class LocalDelivery:
    """Puts mail into the mailboxes of accounts.

    A copy that was made is remembered until its recipient is settled, so that a group of which one
    mailbox is full does not get the message twice. The memory ends with the process: a repeated
    copy is better than a lost one.
    """

    def __init__(
        self,
        resolve: Callable[[Mailbox], Resolution],
        maildir_of: Callable[[str], Path],
        log: Callable[[LogEvent], None],
        threads: Executor | None = None,
    ) -> None:
        """Take what is needed.

        Args:
            resolve: Where mail for one of our addresses goes; raises `StoreError`.
            maildir_of: The Maildir of an account, by its name.
            log: Gets what an administrator must know.
            threads: Where files are written; None: the threads of the loop. As many as
                `Width.at_home` are of use, because each waits for the disk.
        """
        self._threads = threads
        self._resolve = resolve
        self._maildir_of = maildir_of
        self._log = log
        self._done: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def deliver(self, work: Work, content: Content) -> dict[int, Outcome]:
        """Deliver to all recipients of `work`; by place in the envelope."""
        try:
            content = await storable(work, content)
        except ConversionError as error:
            return dict.fromkeys(work.indices, _not_storable(error))
        return {
            state.index: await self._one(work, state.index, content) for state in work.recipients
        }

    async def _one(self, work: Work, index: int, content: Content) -> Outcome:
        mailbox = work.envelope.recipients[index].mailbox
        try:
            resolution = self._resolve(mailbox)
        except StoreError as error:
            self._log(StoreFailed("accounts", str(error)))
            return Deferred("4.3.0", "the list of accounts cannot be read at the moment")
        if not resolution.known:
            return Failed("5.1.1", f"there is no mailbox {mailbox} here any more")
        if resolution.forwards and was_here(content.header, mailbox):
            return Failed("5.4.6", f"the message was already delivered to {mailbox}: a mail loop")
        written = [await self._keep(work, account, content) for account in resolution.accounts]
        new = self._not_done(work.id, mailbox, resolution.forwards)
        if not all(written):
            self._remember(work.id, (f"{mailbox}>{forward}" for forward in resolution.forwards))
            words = "a mailbox cannot be written to at the moment"
            return Deferred("4.3.0", words, forwarded=new)
        if resolution.forwards:
            return Expanded(new, _expanded(len(written), len(resolution.forwards)))
        return Delivered(IN_THE_MAILBOX)

    async def _keep(self, work: Work, account: str, content: Content) -> bool:
        """Write to one account's Maildir. False: it could not be written."""
        if (work.id, account) in self._done:
            return True
        try:
            write = partial(
                deliver,
                self._maildir_of(account),
                content.parts(),
                id=work.id,
                prepend=delivery_fields(work, account),
            )
            await asyncio.get_running_loop().run_in_executor(self._threads, write)
        except MaildirError as error:
            self._log(StoreFailed("mailbox", str(error)))
            return False
        self._remember(work.id, [account])
        return True

    def _not_done(
        self, message_id: str, mailbox: Mailbox, forwards: Iterable[Mailbox]
    ) -> tuple[Mailbox, ...]:
        return tuple(
            forward
            for forward in forwards
            if (message_id, f"{mailbox}>{forward}") not in self._done
        )

    def _remember(self, message_id: str, what: Iterable[str]) -> None:
        for one in what:
            self._done[message_id, one] = None
        while len(self._done) > REMEMBERED_MAX:
            self._done.popitem(last=False)


class CaptureDelivery:
    """Keeps mail in one Maildir instead of sending it: for development."""

    def __init__(self, directory: Path, log: Callable[[LogEvent], None]) -> None:
        self._directory = directory
        self._log = log

    async def deliver(self, work: Work, content: Content) -> dict[int, Outcome]:
        """Keep one copy for each recipient; by place in the envelope."""
        try:
            content = await storable(work, content)
        except ConversionError as error:
            return dict.fromkeys(work.indices, _not_storable(error))
        return {
            state.index: await self._one(work, state.index, content) for state in work.recipients
        }

    async def _one(self, work: Work, index: int, content: Content) -> Outcome:
        to = str(work.envelope.recipients[index].mailbox)
        fields = delivery_fields(work, to)
        try:
            await asyncio.to_thread(
                deliver, self._directory, content.parts(), id=work.id, prepend=fields
            )
        except MaildirError as error:
            self._log(StoreFailed("mailbox", str(error)))
            return Deferred("4.3.0", "the mailbox of captured mail cannot be written to")
        return Delivered("250 2.0.0 captured, not sent")


async def storable(work: Work, content: Content) -> Content:
    """Return the content as a Maildir and POP3 can have it: in lines (RFC 3030 §3).

    Raises:
        ConversionError: If it cannot be converted.
    """
    return await content.fitted(Fit.EIGHT_BIT) if work.envelope.body == "BINARYMIME" else content


def _not_storable(error: ConversionError) -> Failed:
    return Failed("5.6.3", f"binary content cannot be kept in a mailbox or converted: {error}")


def delivery_fields(work: Work, to: str) -> bytes:
    """Return what final delivery puts on top: the reverse-path is kept here (RFC 5321 §4.4)."""
    return f"Return-Path: {work.envelope.reverse_path}\r\nDelivered-To: {to}\r\n".encode()


def was_here(header: HeaderSection, mailbox: Mailbox) -> bool:
    """Whether a message was forwarded from this address before (RFC 9228 §4)."""
    return any(_loops_at(header, str(name)) for name in {mailbox, mailbox.folded})


def _expanded(kept: int, forwarded: int) -> str:
    """How many an alias stands for; who they are is nothing that its senders need to know."""
    here = f"put into {kept} mailbox{'es' * (kept > 1)} here, and " if kept else ""
    return f"{here}sent on to {forwarded} other address{'es' * (forwarded > 1)}"


def _loops_at(header: HeaderSection, name: str) -> bool:
    for value in header.fields("Delivered-To"):
        try:
            marked = parse_mailbox(value.decode("utf-8"))
            if marked.folded == parse_mailbox(name).folded:
                return True
        except (AddressError, UnicodeDecodeError):
            continue
    return False
