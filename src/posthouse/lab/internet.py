"""A small Internet on loopback: a DNS, three Posthouse servers, and places without any.

Every place is a network of 127.0.0.0/8, so that servers see clients come from different
addresses. Nothing leaves the machine.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from posthouse.lab.clients import Account
from posthouse.lab.hosts import Host, LabError
from posthouse.lab.zones import Zones, ZoneServer

HOME_ISP, WORK, OUTSIDE, DNS_ADDRESS = "127.20.1.25", "127.30.1.25", "127.40.1.25", "127.60.1.53"
AT_HOME, AT_WORK, IN_HOTEL = "127.20.2.7", "127.30.2.7", "127.50.2.7"
IN_HOTEL_LISTED, IN_HOTEL_RANGE, IN_HOTEL_DYNAMIC = "127.50.2.8", "127.50.2.21", "127.50.2.40"
ELSEWHERE: Final = "127.90.0.1"  # from where the lab itself looks into mailboxes
DYNAMIC_NAME: Final = "laptop.dyn.example"
WINDOW_SECONDS: Final = 4

TERRI = Account("terri@proseware.example", "six-blue-herons")
BOB = Account("bob@proseware.example", "four-red-kites")
TERRI_AT_WORK = Account("terri@thephone-company.example", "two-grey-geese")
SOMEONE = Account("someone@adatum.example", "nine-tame-doves")

_SERVER: Final = """\
hostname = "mail.{domain}"

[domains."{domain}"]

[listen.mx]
service = "smtp"
on      = ["{address}:{mx_port}"]

[listen.submission]
service = "submission"
on      = ["{address}:{submission_port}"]

[listen.pop3]
service = "pop3"
on      = ["{address}:{pop3_port}"]

[dns]
servers = ["{dns_address}:{dns_port}"]

[outbound]
mx_port = {mx_port}
from_addresses = ["{address}"]

[limits]
sessions_per_address = 100

[storage]
directory = "storage"

[[may_relay]]
who = "signed-in"
"""

_HOME_DOORS: Final = f"""
[[may_relay]]
who    = "pop-window"
window = "{WINDOW_SECONDS} s"

[[may_relay]]
who      = "network"
name     = "home customers"
networks = ["127.20.2.0/24"]

[[may_relay]]
who     = "host-name"
name    = "a laptop behind dynamic DNS"
hosts   = ["{DYNAMIC_NAME}"]
refresh = "1 s"
linger  = "2 s"
"""

_WORK_DOORS: Final = """
[[may_relay]]
who      = "network"
name     = "offices"
networks = ["127.30.2.0/24"]
sends_as = ["*"]
"""

_WORK_OWN_DOMAINS: Final = """
[[may_relay]]
who      = "network"
name     = "offices"
networks = ["127.30.2.0/24"]

[identity]
reverse_path = "own-domains"
from         = "own-domains"
reply_to     = "own-domains"
"""


class Internet:
    """The whole lab; a context in which everything runs.

    Attributes:
        home: The home ISP, proseware.example.
        work: The employer, thephone-company.example.
        outside: The rest of the world, adatum.example.
        zones: What the DNS says.
    """

    def __init__(self, directory: Path) -> None:
        self.zones = Zones()
        self._mx_port = _port_free_on(HOME_ISP, WORK, OUTSIDE)
        self._ports: dict[str, tuple[int, int]] = {}
        self._directory = directory
        self._zone_server = ZoneServer(self.zones, DNS_ADDRESS)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab-dns", daemon=True)

    @contextlib.contextmanager
    def running(self) -> Iterator["Internet"]:
        """Start the DNS, then the servers; stop everything at the end.

        Raises:
            LabError: If something does not start.
        """
        hosts: list[Host] = []
        self._start_dns()
        try:
            self.home = self._host("home", "proseware.example", HOME_ISP, _HOME_DOORS)
            self.work = self._host("work", "thephone-company.example", WORK, _WORK_DOORS)
            self.outside = self._host("outside", "adatum.example", OUTSIDE, "")
            for host, account in (
                (self.home, TERRI),
                (self.home, BOB),
                (self.work, TERRI_AT_WORK),
                (self.outside, SOMEONE),
            ):
                host.add_account(account)
            for host in (self.home, self.work, self.outside):
                hosts.append(host)
                host.start()
            yield self
        finally:
            for host in hosts:
                host.stop()
            self._stop_dns()

    def forbid_foreign_replies(self) -> None:
        """Let the work server hold its people to addresses of its own domain."""
        self.work.reconfigure(self._text("thephone-company.example", WORK, _WORK_OWN_DOMAINS))

    def point_dynamic_name(self, *addresses: str) -> None:
        """Change where the laptop's dynamic name points; to nowhere without an address."""
        self.zones.put(DYNAMIC_NAME, "A", *addresses)

    def _host(self, name: str, domain: str, address: str, doors: str) -> Host:
        self.zones.put(domain, "MX", f"10 mail.{domain}.")
        self.zones.put(f"mail.{domain}", "A", address)
        return Host(name, self._directory / name, self._text(domain, address, doors))

    def _text(self, domain: str, address: str, doors: str) -> str:
        if address not in self._ports:
            self._ports[address] = (_port_free_on(address), _port_free_on(address))
        submission_port, pop3_port = self._ports[address]
        filled = _SERVER.format(
            domain=domain,
            address=address,
            mx_port=self._mx_port,
            submission_port=submission_port,
            pop3_port=pop3_port,
            dns_address=DNS_ADDRESS,
            dns_port=self._zone_server.port,
        )
        return filled + doors

    def _start_dns(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._zone_server.start(), self._loop).result(10)

    def _stop_dns(self) -> None:
        asyncio.run_coroutine_threadsafe(self._zone_server.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def _port_free_on(*addresses: str) -> int:
    """Return a port that is free on all the addresses.

    Raises:
        LabError: If an address cannot be used.
    """
    why = ""
    for _ in range(50):
        with contextlib.ExitStack() as opened:
            try:
                first = opened.enter_context(socket.socket())
                first.bind((addresses[0], 0))
                port: int = first.getsockname()[1]
                for address in addresses[1:]:
                    opened.enter_context(socket.socket()).bind((address, port))
            except OSError as problem:
                why = problem.strerror or str(problem)
                continue
            return port
    raise LabError(f"no free port on {', '.join(addresses)}: {why}")
