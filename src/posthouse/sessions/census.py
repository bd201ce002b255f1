"""How many sessions there are, in all and from each address."""

from ipaddress import IPv4Address, IPv6Address

from posthouse.policy.facts import Load

Address = IPv4Address | IPv6Address


class Census:
    """Counts open sessions; one for all SMTP listeners of a server."""

    def __init__(self) -> None:
        self.sessions = 0
        self.contents = 0  # messages that are arriving at this moment
        self.shutting_down = False
        self._by_address: dict[Address, int] = {}

    def enter(self, address: Address) -> Load:
        """Count a session that begins, and return the load with it."""
        self.sessions += 1
        here = self._by_address.get(address, 0) + 1
        self._by_address[address] = here
        return Load(self.sessions, here, self.shutting_down)

    def leave(self, address: Address) -> None:
        """Count a session that ended; `enter` must have counted it."""
        self.sessions -= 1
        here = self._by_address[address] - 1
        if here:
            self._by_address[address] = here
        else:
            del self._by_address[address]

    def content_begun(self) -> None:
        """Count a message that begins to arrive."""
        self.contents += 1

    def content_ended(self) -> None:
        """Count a message that is handed over or thrown away."""
        self.contents -= 1

    def load(self, address: Address) -> Load:
        """Return what the server carries now."""
        return Load(self.sessions, self._by_address.get(address, 0), self.shutting_down)
