"""Reverse-paths of ours on the way to servers that check SPF and do not know us (SRS)."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from msgspec.structs import replace

from posthouse.delivery.attempts import Carrier
from posthouse.delivery.content import Content
from posthouse.delivery.forwarding import Rewrite
from posthouse.delivery.outcomes import Outcome
from posthouse.delivery.routes import Route
from posthouse.spool.records import Work


class RewritingCarrier:
    """Rewrites reverse-paths on the way to another carrier, where a domain wants it.

    Our own reports about the message go to the reverse-path that it came with.
    """

    def __init__(
        self,
        carrier: Carrier,
        rewrite_for: Callable[[str], Rewrite | None],
        now: Callable[[], datetime],
    ) -> None:
        """Take what is needed; `rewrite_for` tells how for a destination, or None: not at all."""
        self._carrier = carrier
        self._rewrite_for = rewrite_for
        self._now = now

    def deliver(self, route: Route, work: Work, content: Content) -> Awaitable[dict[int, Outcome]]:
        """Try once; by place in the envelope."""
        rewrite = self._rewrite_for(work.destination)
        if rewrite is not None:
            path = rewrite(work.envelope.reverse_path, self._now())
            work = replace(work, envelope=replace(work.envelope, reverse_path=path))
        return self._carrier.deliver(route, work, content)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._carrier.close()
