"""What every part of a server stands on."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from posthouse.dns.resolver import Resolver
from posthouse.server.crew import Worker
from posthouse.server.stores import Stores
from posthouse.telemetry.events import LogEvent


class Ground(Struct, frozen=True, eq=False):
    """Given to both halves of the server.

    Attributes:
        stores: What keeps.
        base: Where relative paths in the configuration count from.
        maildir_of: The Maildir of an account, by its name.
        now: The clock; its times carry a zone.
        log: Takes events; never blocks.
        resolver: Asks DNS.
    """

    stores: Stores
    base: Path
    maildir_of: Callable[[str], Path]
    now: Callable[[], datetime]
    log: Callable[[LogEvent], None]
    resolver: Resolver

    @property
    def worker(self) -> Worker:
        """Which of the workers this is."""
        return self.stores.worker
