"""What 10,000 messages for a next hop that does not answer cost the others.

``python -m bench.dead_destination``: the parts that deliver, in this process, to a sink in another.
Once all that waits for the dead next hop waits for its time, and once all of it is due in the
moment in which the others begin, which is the worst that can be. Goal: under 20 % (issue 6).
"""

import asyncio
import random
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.programs import Sink, compile_load, free_ports, sink
from posthouse.accounts.store import Resolution
from posthouse.delivery.attempts import Attempts, Ways
from posthouse.delivery.bounce import Reporter, Site
from posthouse.delivery.dispatcher import Dispatcher
from posthouse.delivery.local import CaptureDelivery, LocalDelivery
from posthouse.delivery.next_hosts import HostFinder
from posthouse.delivery.opening import Manners, client_contexts
from posthouse.delivery.retry import Patience
from posthouse.delivery.routes import Route, Routes, SmartHost
from posthouse.delivery.transport import Transport
from posthouse.dns.exchangers import Ourselves
from posthouse.dns.resolver import Resolver
from posthouse.dns.servers import ServerAddress
from posthouse.mail.address import Mailbox, ReversePath
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.records import StorageError
from posthouse.telemetry.events import LogEvent

WAITING = 10_000
OTHERS = 5_000
ROUNDS = 3
SETTLED_SECONDS = 8.0
SENDER = ReversePath(Mailbox("ann", "example.com"))
CONTENT = b"From: ann@example.com\r\nSubject: bench\r\n\r\n" + b"0123456789abcdef\r\n" * 220


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


class House:
    """A way out, with one next hop that is dead and one that is well."""

    def __init__(self, directory: Path, dead: int, well: int) -> None:
        self.spool = JournaledSpool(directory, now=now)
        resolver = Resolver((ServerAddress("127.0.0.1", 9),), 1)
        hosts = HostFinder(resolver, random.Random(1), Ourselves())
        self.transport = Transport(hosts, Manners("mail.example.com"), client_contexts())
        routes = Routes(
            local_domains=(),
            entries={"dead.example": Route(SmartHost("127.0.0.1", dead))},
            default=Route(SmartHost("127.0.0.1", well)),
        )
        patience = Patience()
        ways = Ways(
            local=LocalDelivery(lambda _: Resolution(), lambda _: directory, self.note),
            capture=CaptureDelivery(directory, self.note),
            transport=self.transport,
        )
        site = Site("mail.example.com", Mailbox("postmaster", "example.com"))
        attempts = Attempts(
            self.spool,
            ways,
            Reporter(site, patience, self.spool.new_id),
            patience,
            now=now,
            uniform=random.Random(1).uniform,
            log=self.note,
        )
        self.dispatcher = Dispatcher(
            self.spool, routes, attempts, now=now, log=self.note, hosts=hosts
        )

    def note(self, event: LogEvent) -> None:
        """Log nothing."""

    def accept(self, domain: str, count: int) -> None:
        """Put messages into the spool, and return when all are safe."""
        done = threading.Semaphore(0)

        def told(error: StorageError | None) -> None:
            assert error is None
            done.release()

        for number in range(count):
            envelope = Envelope(SENDER, (Recipient(Mailbox(f"u{number}", domain)),), now())
            intake = self.spool.open_intake()
            intake.write(CONTENT)
            intake.commit(envelope, id=self.spool.new_id(), done=told)
        for _ in range(count):
            done.acquire()

    async def close(self) -> None:
        """Stop and let go."""
        await self.dispatcher.stop(timedelta(seconds=1))
        await self.transport.close()
        await asyncio.to_thread(self.spool.close)


async def measure(dead: int, there: Sink, *, waiting: int, due: bool = False) -> float:
    """Return how long the others took, in seconds; `due`: all that waits is due when they begin."""
    with tempfile.TemporaryDirectory(prefix="posthouse-bench-") as text:
        house = House(Path(text), dead, there.port)
        if waiting:
            await asyncio.to_thread(house.accept, "dead.example", waiting)
            house.dispatcher.start()
            await asyncio.sleep(SETTLED_SECONDS)
            await house.close()
            house = House(Path(text), dead, there.port)
            await asyncio.to_thread(house.spool.flush)
        if due:
            await asyncio.to_thread(house.spool.retry_all, "dead.example")
        await asyncio.to_thread(house.accept, "well.example", OTHERS)
        begun, count = time.monotonic(), there.count
        house.dispatcher.start()
        while there.count < count + OTHERS:  # noqa: ASYNC110 - counted by another process
            await asyncio.sleep(0.01)
        seconds = there.last - begun
        await house.close()
    return seconds


def main() -> None:
    """Measure in turns, print medians."""
    with tempfile.TemporaryDirectory(prefix="posthouse-bench-") as text:
        program = compile_load(Path(text))
        with sink(program, Path(text)) as there:
            (refused,) = free_ports(1)
            seconds: dict[str, list[float]] = {"alone": [], "waiting": [], "due at once": []}
            for _ in range(ROUNDS):
                for name, them in seconds.items():
                    waiting = 0 if name == "alone" else WAITING
                    due = name == "due at once"
                    them.append(asyncio.run(measure(refused, there, waiting=waiting, due=due)))
            rest = statistics.median(seconds["alone"])
            for name, them in seconds.items():
                took = statistics.median(them)
                cost = 100 * (took - rest) / rest
                print(f"{OTHERS} messages, {name}: {OTHERS / took:.0f}/s, cost {cost:.0f} %")


if __name__ == "__main__":
    main()
