"""Which servers are compared, and how they are made ready, each in a directory of its own."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bench.aiosmtpd_peer import aiosmtpd
from bench.depth import bring, now
from bench.dovecot import NOBODY, dovecot, sign_in_server
from bench.measuring import Place
from bench.postfix import postfix
from bench.programs import BenchError
from bench.servers import Contender, Running, Setting, posthouse, users
from bench.usage import family_of
from posthouse.mailbox import maildir
from posthouse.server.crew import Worker
from posthouse.server.processors import AUTO_MAX, processors
from posthouse.spool.journaled import JournaledSpool

USERS, MESSAGES_EACH = 10, 200
NETWORKS: Final = 100_000
FIRST_NETWORK: Final = IPv4Address("16.0.0.0")


class Ground(Struct, frozen=True):
    """What a stage may use.

    Attributes:
        directory: Of the stage.
        place: Load generators and sink.
        workers: For Posthouse, if given.
        python: Interpreter that has aiosmtpd, if given.
    """

    directory: Path
    place: Place
    workers: int | None = None
    python: str = ""

    @property
    def setting(self) -> Setting:
        """How servers are set up, if nothing else is said."""
        bytecode = self.directory.parent / "bytecode"  # for all stages
        return Setting(self.place.sink.port, workers=self.workers, bytecode=bytecode)


Contenders = Sequence[Contender]


class Stage(Struct, frozen=True):
    """Some servers.

    Attributes:
        name: Of its directory.
        made_ready: Makes everything that can be there before they start.
        again: They are started for each measurement.
    """

    name: str
    made_ready: Callable[[Ground], AbstractContextManager[Contenders]]
    again: bool = False


@contextmanager
def beside_postfix(ground: Ground) -> Iterator[Contenders]:
    """Postfix and Posthouse, both as they run all day."""
    with sign_in_server(ground.directory / "dovecot") as socket:
        yield _pair(ground, replace(ground.setting, sign_in_socket=socket))


@contextmanager
def slow_disk(ground: Ground) -> Iterator[Contenders]:
    """The same, and every flush takes 5 ms longer for both."""
    library = ground.place.programs.slow_disk
    pair = _pair(ground, replace(ground.setting, preload=library))
    yield [Contender(it.name, partial(_with_library, it, library)) for it in pair]


@contextmanager
def _with_library(contender: Contender, library: Path) -> Iterator[Running]:
    with contender.start() as server:
        for process in family_of(server.process):
            if str(library) not in Path(f"/proc/{process}/maps").read_text():
                raise BenchError(f"{server.name} does not load {library}")
        yield server


@contextmanager
def many_networks(ground: Ground) -> Iterator[Contenders]:
    """The same, with 100,000 networks that may relay and are not ours."""
    networks = tuple(f"{FIRST_NETWORK + (number << 8)}/24" for number in range(NETWORKS))
    yield _pair(ground, replace(ground.setting, networks=networks))


@contextmanager
def deep_queue(ground: Ground, queued: int) -> Iterator[Contenders]:
    """Posthouse with an empty queue, and with one of so many messages for 1,000 domains."""
    empty, deep = ground.directory / "empty", ground.directory / "deep"
    count = ground.workers or min(processors(), AUTO_MAX)
    for number in range(1, count + 1):
        _fill(Worker(number, count), deep / "storage" / "spool", queued // count)
    beside = posthouse(empty, ground.setting, "Posthouse, empty")
    with beside.start():
        pass  # the first one compiles what it imports
    yield [beside, posthouse(deep, ground.setting)]


def _fill(worker: Worker, path: Path, queued: int) -> None:
    """Queue so many messages that are due tomorrow in the spool of a worker."""
    directory = worker.own(path)
    directory.mkdir(mode=0o700, parents=True)
    spool = JournaledSpool(directory, now=now, place=worker.place)
    try:
        bring(spool, queued, due=now() + timedelta(days=1), content=b"x")
    finally:
        spool.close()


@contextmanager
def beside_dovecot(ground: Ground) -> Iterator[Contenders]:
    """Dovecot and Posthouse, each with the same Maildirs."""
    theirs, ours = ground.directory / "dovecot", ground.directory / "posthouse"
    contender = dovecot(theirs, USERS)
    filled = ground.directory / "filled"
    line = b"What is written here is only weight, seventy-two letters and signs.....\r\n"
    for number in range(MESSAGES_EACH):
        content = b"From: ann@example.test\r\nSubject: %d\r\n\r\n" % number + line * 54
        maildir.deliver(filled, [content], id=f"M{number}")
    for user in users(USERS):
        local_part, _, domain = user.partition("@")
        shutil.copytree(filled, theirs / "mail" / local_part)
        shutil.copytree(filled, ours / "storage" / "mail" / domain / local_part)
    theirs.chmod(0o711)
    for path in (theirs / "mail", *(theirs / "mail").rglob("*")):
        shutil.chown(path, NOBODY, NOBODY)
    yield [contender, posthouse(ours, replace(ground.setting, users=USERS))]


@contextmanager
def beside_aiosmtpd(ground: Ground) -> Iterator[Contenders]:
    """An aiosmtpd that keeps each message in a file, and Posthouse."""
    yield [
        aiosmtpd(ground.directory / "aiosmtpd", ground.python),
        posthouse(ground.directory / "posthouse", ground.setting),
    ]


def _pair(ground: Ground, setting: Setting) -> Contenders:
    return [
        postfix(_made(ground.directory / "postfix"), setting),
        posthouse(ground.directory / "posthouse", setting),
    ]


def _made(directory: Path) -> Path:
    directory.mkdir(mode=0o711, parents=True)
    return directory
