"""Maildir: one file a message, in `tmp`, `new` and `cur` (https://cr.yp.to/proto/maildir.html).

Lines end with LF in the files, as other programs expect, and with CRLF everywhere else. Both sizes
stand in the file name as Dovecot and Courier write them, ``,S=`` octets of the file and ``,W=``
octets with CRLF, so that counting a large maildrop opens no file.
"""

import contextlib
import errno
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Final

from msgspec import Struct

from posthouse.mailbox.measured import Sizes

BLOCK_OCTETS: Final = 64 * 1024
FOLDERS: Final = ("tmp", "new", "cur")
NOWAIT: Final[int] = getattr(os, "RWF_NOWAIT", 0)  # only Linux has it
_WIRE_OCTETS: Final = re.compile(r",W=(\d{1,15})(?=[,:]|$)")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
_deliveries = count(1)
_sizes = Sizes()


class MaildirError(Exception):
    """The mailbox cannot be used; the message says what and where in plain words."""


class MessageGoneError(MaildirError):
    """The message is no longer there: another program removed it."""


class Entry(Struct, frozen=True):
    """One message of a Maildir.

    Attributes:
        name: File name when it was listed.
        folder: ``new`` or ``cur`` when it was listed.
        octets: Size with every line ended by CRLF, as POP3 counts (RFC 1939 section 11).
    """

    name: str
    folder: str
    octets: int

    @property
    def key(self) -> str:
        """The name without flags: it stays when a program moves the file or marks it as read."""
        return self.name.partition(":")[0]

    @property
    def unique(self) -> str:
        """The unique part of the name, without sizes and flags."""
        return self.key.partition(",")[0]


def create(directory: Path) -> None:
    """Make an empty Maildir, private to us, unless it is there already. Blocks.

    Raises:
        MaildirError: If it cannot be made.
    """
    if all(os.path.isdir(f"{directory}/{name}") for name in FOLDERS):
        return
    wanted = [*reversed(directory.parents), directory, *(directory / name for name in FOLDERS)]
    try:
        for path in (path for path in wanted if not path.is_dir()):
            path.mkdir(mode=0o700, exist_ok=True)
            _flush_directory(path.parent)
    except OSError as error:
        raise MaildirError(_in_words("cannot make the mailbox", directory, error)) from error


def deliver(directory: Path, content: Iterable[bytes], *, id: str, prepend: bytes = b"") -> str:  # noqa: A002 - the contract's word
    """Keep a message durably and return its file name in `new`. Blocks.

    When this returns, the message survives a power cut: the file and its directory entry were
    flushed. A failure leaves nothing behind in `new`.

    Args:
        directory: The Maildir; made if it is not there.
        content: Blocks of the message with CRLF, cut anywhere.
        id: Id of the message in the spool; it becomes part of the name, for people.
        prepend: Header fields that go first, with CRLF.

    Raises:
        MaildirError: If it cannot be written, the disk is full for instance. Trying again is safe.
    """
    create(directory)
    name = _new_name(id)
    draft = directory / "tmp" / name
    try:
        stored, wire = _write_flushed(draft, prepend, content)
        final = f"{name},S={stored},W={wire}"
        draft.rename(directory / "new" / final)
        _flush_directory(directory / "new")
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise MaildirError(_in_words("cannot deliver to the mailbox", directory, error)) from error
    return final


def entries(directory: Path) -> list[Entry]:
    """Return the messages, the oldest first. Blocks; opens only files without ``,W=``.

    Their size is remembered while we run.

    A mailbox that was never delivered to is empty, not an error.

    Raises:
        MaildirError: If it cannot be read.
    """
    found: dict[str, Entry] = {}
    try:
        for folder in (
            "new",
            "cur",
        ):  # in this order: a file moved meanwhile is seen twice, not lost
            for entry in _scan(directory, folder):
                found[entry.key] = entry
    except OSError as error:
        raise MaildirError(_in_words("cannot read the mailbox", directory, error)) from error
    return sorted(found.values(), key=_arrival)


def named_octets(name: str) -> int | None:
    """Return the octets with CRLF that a file name tells, or None if it does not."""
    size = _WIRE_OCTETS.search(name)
    return None if size is None else int(size[1])


def read_from_memory(directory: Path, entry: Entry) -> bytes | None:
    """Return a message as it is kept, if the system has it in memory; waits for no disk.

    Only for short ones: all of it is read at once. None as well if anything is wrong with it:
    `read` says what.
    """
    buffer = memoryview(bytearray(entry.octets + 1))
    size = 0
    try:
        file = _open_file(f"{directory}/{entry.folder}/{entry.name}", os.O_NONBLOCK)
        try:
            while got := os.preadv(file, (buffer[size:],), size, NOWAIT):
                size += got
        finally:
            os.close(file)
    except OSError:  # not in memory, not there, or the file system cannot say
        return None
    return None if size > entry.octets else buffer[:size].tobytes()


def answers_from_memory(file: int) -> bool:
    """Whether the file system of an open file can say what it has in memory: local disks can."""
    if not NOWAIT:
        return False
    try:
        os.preadv(file, (bytearray(1),), 0, NOWAIT)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return True


def read(directory: Path, entry: Entry) -> Iterator[bytes]:
    """Yield the message in blocks, every line ended by CRLF. Blocks.

    Raises:
        MessageGoneError: If it is neither where it was nor under another flag or folder.
        MaildirError: If it is there and cannot be read.
    """
    try:
        with open(_open_entry(directory, entry), "rb", buffering=0) as file:
            yield from _with_crlf(iter(lambda: file.read(BLOCK_OCTETS), b""))
    except OSError as error:
        raise MaildirError(_in_words("cannot read a message in", directory, error)) from error


def remove(directory: Path, removed: Sequence[Entry]) -> list[Entry]:
    """Remove messages for good and return those that could not be removed. Blocks.

    A message that another program removed already counts as removed; one that was moved to `cur`
    or got flags meanwhile is found.
    """
    kept: list[Entry] = []
    moved: dict[str, Path] | None = None
    for entry in removed:
        try:
            (directory / entry.folder / entry.name).unlink()
        except FileNotFoundError:
            moved = _paths_by_key(directory) if moved is None else moved
            if entry.key in moved and not _unlinked(moved[entry.key]):
                kept.append(entry)
        except OSError:
            kept.append(entry)
    for folder in {entry.folder for entry in removed}:
        with contextlib.suppress(OSError):
            _flush_directory(directory / folder)
    return kept


# ---------------------------------------------------------------- writing


def _new_name(message_id: str) -> str:
    """A name that no other delivery on any host has (seconds, microseconds, process, number)."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    host = _UNSAFE.sub("_", socket.gethostname())[:24]
    mark = _UNSAFE.sub("_", message_id)[:12]
    micro = nanoseconds // 1000
    return f"{seconds}.M{micro:06d}P{os.getpid()}Q{next(_deliveries)}I{mark}.{host}"


def _write_flushed(path: Path, prepend: bytes, content: Iterable[bytes]) -> tuple[int, int]:
    """Write with LF, flush, and return the octets of the file and the octets with CRLF."""
    stored = lines = 0  # lines: the LFs that get a CR when read
    after_cr = False
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb", buffering=BLOCK_OCTETS) as file:
        for block in _with_lf(prepend, content):
            stored += len(block)
            lines += block.count(b"\n") - block.count(b"\r\n")
            lines -= after_cr and block.startswith(b"\n")
            after_cr = block.endswith(b"\r") if block else after_cr
            file.write(block)
        file.flush()
        os.fsync(descriptor)
    return stored, stored + lines


def _with_lf(prepend: bytes, content: Iterable[bytes]) -> Iterator[bytes]:
    """Turn CRLF into LF; a CR at the end of a block waits for the next one."""
    held = b""
    for block in chain((prepend,), content):
        octets = held + block
        held = b"\r" if octets.endswith(b"\r") else b""
        yield octets[: len(octets) - len(held)].replace(b"\r\n", b"\n")
    yield held


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------- reading


def _scan(directory: Path, folder: str) -> Iterator[Entry]:
    try:
        listing = os.scandir(directory / folder)
    except FileNotFoundError:
        return
    with listing:
        for item in listing:
            name = item.name
            if name.startswith(".") or not item.is_file(follow_symlinks=False):
                continue
            octets = named_octets(name)
            if octets is not None:
                yield Entry(name, folder, octets)
            else:
                with contextlib.suppress(FileNotFoundError):
                    yield Entry(name, folder, _sizes.of(item))


def _arrival(entry: Entry) -> tuple[int, str]:
    """Compares as the seconds do that the name begins with: those with more digits are later."""
    seconds = entry.name.partition(".")[0]
    return (len(seconds) if seconds.isdecimal() else 0), entry.name


def _open_file(path: Path | str, flags: int = 0) -> int:
    """Open for reading; never follow a link out of the mailbox."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags)


def _open_entry(directory: Path, entry: Entry) -> int:
    try:
        return _open_file(directory / entry.folder / entry.name)
    except FileNotFoundError:
        moved = _paths_by_key(directory).get(entry.key)
    if moved is None:
        raise MessageGoneError("another program removed this message")
    return _open_file(moved)


def _paths_by_key(directory: Path) -> dict[str, Path]:
    """Where every message is now, by its name without flags."""
    paths: dict[str, Path] = {}
    for folder in ("new", "cur"):
        with contextlib.suppress(OSError):
            for name in os.listdir(directory / folder):
                paths[name.partition(":")[0]] = directory / folder / name
    return paths


def _with_crlf(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """End every line by CRLF, whether it ended with LF or CRLF; a last CR waits for its LF."""
    held = b""
    for block in blocks:
        octets = held + block
        held = b"\r" if octets.endswith(b"\r") else b""
        body = octets[: len(octets) - len(held)]
        yield body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if held:
        yield held


def _unlinked(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _in_words(what: str, directory: Path, error: OSError) -> str:
    return f"{what} {directory}: {(error.strerror or str(error)).lower()}"
