"""Has the address of clients been lost on the way? A gateway or proxy may stand for everybody.

Then a network that may relay is everybody's, and a POP window opens for all. One machine greets
with one name; an address that greets with many unrelated ones is not one machine.
"""

from datetime import timedelta
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

from msgspec import Struct

from posthouse.policy.facts import Address
from posthouse.policy.networks import NetworkTable
from posthouse.policy.private_networks import gateway_of, is_private_address

TRANSACTIONS_MIN: Final = 100  # before "everything comes from one address" says anything
SHARE_MIN: Final = 0.95  # of all mail transactions
ACCOUNTS_MANY: Final = 5  # that signed in from one address: half as many names are enough then
_SHORT_LABEL: Final = 3  # co.uk, com.cn: names below belong to different people


class LostAddressRule(Struct, frozen=True):
    """When an address counts as lost.

    Attributes:
        names: Unrelated EHLO names from one address that no single machine has.
        within: In so much time.
        lasts: How long it counts as lost after the last evidence.
        stops_relaying: Doors that look at the address stay closed; else it is only told.
        shared: Addresses that many clients are known to share: never lost.
    """

    names: int = 10
    within: timedelta = timedelta(minutes=10)
    lasts: timedelta = timedelta(days=1)
    stops_relaying: bool = True
    shared: NetworkTable = NetworkTable()


class Traffic(Struct, frozen=True):
    """What came from one address lately, and from all.

    Attributes:
        address: Of the clients.
        names: EHLO names, as `owner_of_name` tells their owners.
        accounts: Accounts that signed in.
        senders: Domains of reverse-paths.
        recipients: Domains of recipients.
        transactions: How many from this address.
        transactions_in_all: How many from all addresses.
    """

    address: Address
    names: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    senders: frozenset[str] = frozenset()
    recipients: frozenset[str] = frozenset()
    transactions: int = 0
    transactions_in_all: int = 0


def evidence_of_loss(traffic: Traffic, rule: LostAddressRule) -> str:
    """Return what shows that many clients share the address, in one clause; "" if nothing does.

    Many unrelated names are always needed: a smart host or webmail sends for many people, but
    greets with its one name. From a public address, nearly all traffic must come as well.
    """
    if rule.shared.find(traffic.address):
        return ""
    many = len(traffic.accounts) >= ACCOUNTS_MANY
    if len(traffic.names) < (-(-rule.names // 2) if many else rule.names):
        return ""
    alone = _comes_alone(traffic)
    hidden = is_private_address(traffic.address)
    if not hidden and not alone:
        return ""
    kind = _kind(traffic.address) if hidden else str(traffic.address)
    found = [f"{len(traffic.names)} unrelated EHLO names"]
    if traffic.accounts:
        found.append(_counted(len(traffic.accounts), "account"))
    if traffic.senders:
        found.append(_counted(len(traffic.senders), "sender domain"))
    if traffic.recipients:
        found.append(_counted(len(traffic.recipients), "recipient domain"))
    if alone:
        found.append(f"{traffic.transactions} of {traffic.transactions_in_all} mail transactions")
    return f"{kind} brought {', '.join(found)}"


@lru_cache(maxsize=1024)
def owner_of_name(name: str, address: Address) -> str:
    """Return whose an EHLO name is, so that related names count once; "" where it tells nothing.

    ``mail3.example.com`` and ``mail4.example.com`` are example.com's. A name without a dot and a
    private address literal are any office's, unless a container gateway presents them.
    """
    name = name.casefold().rstrip(".")
    if name.startswith("["):
        return _owner_of_literal(name, address)
    labels = name.split(".")
    if len(labels) < 2 or labels[-1] in ("local", "localdomain", "lan", "internal"):
        return name if name and name != "localhost" and _is_container_gateway(address) else ""
    country = len(labels[-1]) == 2 and len(labels[-2]) <= _SHORT_LABEL
    return ".".join(labels[-3:] if country else labels[-2:])


def _owner_of_literal(name: str, address: Address) -> str:
    text = name.strip("[]").removeprefix("ipv6:")
    try:
        literal = ip_address(text)
    except ValueError:
        return ""
    if is_private_address(literal) and not _is_container_gateway(address):
        return ""
    return text


def _comes_alone(traffic: Traffic) -> bool:
    """Whether nearly everything comes from this one address."""
    enough = traffic.transactions_in_all >= TRANSACTIONS_MIN
    return enough and traffic.transactions >= SHARE_MIN * traffic.transactions_in_all


def _is_container_gateway(address: Address) -> bool:
    return bool(gateway_of(ip_network(address)))


def _kind(address: Address) -> str:
    maker = gateway_of(ip_network(address))
    return f"{address}, {f'the gateway of {maker}' if maker else 'a private address'},"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
