"""What a domain's DNS and its policy demand of those who bring it mail: DANE before MTA-STS.

| What is found | What is done |
|---|---|
| host and TLSA records secure, some usable | TLS, and the certificate matches (RFC 7672 §2.2) |
| the same, none of them usable | TLS, with any certificate (RFC 7672 §2.2) |
| host or TLSA records insecure, or no records | no DANE |
| TLSA records cannot be looked up | this host is not used now (RFC 7672 §2.1.2) |
| no DANE, an MTA-STS policy to enforce | TLS, verified, to its hosts only (RFC 8461 §4) |
| no DANE, a policy in testing | the same is tried and reported, and mail is delivered in any case |
| neither | as the route says |

A sender can ask for more (REQUIRETLS, RFC 8689).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from msgspec import structs

from posthouse.delivery import dane
from posthouse.delivery.mta_sts import Mode
from posthouse.delivery.next_hosts import Host
from posthouse.delivery.routes import Exchangers, Route
from posthouse.delivery.sts_policies import Finding
from posthouse.delivery.tls_terms import OURS, Assurance, Basis, Trouble
from posthouse.dns.answers import Answer, TemporaryFailure, TlsaResult

NOT_VOUCHED: Final = (
    "the sender asked for TLS all the way (REQUIRETLS), and neither DNSSEC nor MTA-STS vouches for "
    "this host"
)


class TlsaLookUp(Protocol):
    """Looks TLSA records up."""

    async def tlsa(self, name: str) -> TlsaResult:
        """Return the TLSA records of a name."""
        ...


class PolicyFinder(Protocol):
    """Knows MTA-STS policies."""

    async def find(self, domain: str) -> Finding:
        """Return the policy of a domain."""
        ...


class Security:
    """Finds out what must be true of the sessions with a domain's hosts.

    Attributes:
        dane: Whether DANE is looked for; replaced by a reload.
        mta_sts: The same for MTA-STS.
    """

    def __init__(
        self,
        resolver: TlsaLookUp,
        policies: PolicyFinder,
        *,
        dane: bool = True,
        mta_sts: bool = True,
    ) -> None:
        self.dane = dane
        self.mta_sts = mta_sts
        self._resolver = resolver
        self._policies = policies

    def has_a_say(self, route: Route, hosts: Sequence[Host]) -> bool:
        """Whether anybody but the route can demand something of sessions with these hosts."""
        if isinstance(route.via, Exchangers):
            return True
        if self.dane:
            for host in hosts:
                if host.secure:
                    return True
        return False

    async def assure(
        self, route: Route, domain: str, hosts: Sequence[Host], *, requiretls: bool = False
    ) -> Mapping[str, Assurance]:
        """Return what the sessions must fulfil, by the name of the host.

        Args:
            route: By which they were found.
            domain: Of the recipients.
            hosts: All that may be tried.
            requiretls: The sender asks for TLS all the way.
        """
        named = {host.name: host for host in hosts if host.address is not None}
        by_mx = isinstance(route.via, Exchangers)
        found = Finding()
        if by_mx and self.mta_sts:
            found = await self._policies.find(domain)
        several: Sequence[Assurance | None] = (None,) * len(named)
        if self.dane and any(host.secure for host in hosts):
            several = await asyncio.gather(*(self._by_dane(it, domain) for it in named.values()))
        assured = {
            host.name: one if one is not None else _by_policy(host, found)
            for host, one in zip(named.values(), several, strict=True)
        }
        if requiretls:
            return {name: _required(one, named[name], by_mx=by_mx) for name, one in assured.items()}
        return assured

    async def _by_dane(self, host: Host, domain: str) -> Assurance | None:
        """What DANE demands of a host; None: nothing."""
        if not (self.dane and host.secure):
            return None
        # RFC 7672 §2.2.2: first by the name that an alias leads to, then by the alias.
        for base in filter(None, (host.canonical, host.name)):
            match await self._resolver.tlsa(f"_{host.port}._tcp.{base}"):
                case Answer(values=values, authentic=True):
                    records = dane.usable(values)
                    basis = Basis.DANE if records else Basis.DANE_UNUSABLE
                    trouble = None if records else Trouble.TLSA_INVALID
                    names = tuple(dict.fromkeys((base, host.name, domain)))
                    return Assurance(basis, records, names if records else (), trouble=trouble)
                case TemporaryFailure(detail=detail):
                    fault = f"DNS gave no answer about TLSA records: {detail}"
                    return Assurance(Basis.DANE, fault=fault, trouble=Trouble.DNSSEC_INVALID)
                case _:
                    continue
        return None


def _by_policy(host: Host, found: Finding) -> Assurance:
    policy = found.policy
    if policy is None or policy.mode is Mode.NONE:
        return OURS if found.trouble is None else Assurance(trouble=found.trouble)
    basis = Basis.STS if policy.mode is Mode.ENFORCE else Basis.STS_TESTING
    if policy.means(host.name):
        return Assurance(basis, policy=policy)
    fault = f"{host.name} is not among the hosts of the domain's policy (MTA-STS)"
    return Assurance(basis, policy=policy, fault=fault, trouble=Trouble.VALIDATION)


def _required(one: Assurance, host: Host, *, by_mx: bool) -> Assurance:
    """REQUIRETLS: the host is known for certain, and so is its certificate (RFC 8689 §4.2.1)."""
    if one.basis is Basis.DANE or (one.basis is Basis.STS and not one.fault):
        return one
    if one.basis is Basis.STS_TESTING and not one.fault:
        return structs.replace(one, basis=Basis.STS)
    if host.secure or not by_mx:
        return Assurance(Basis.REQUIRETLS)
    return Assurance(Basis.REQUIRETLS, fault=NOT_VOUCHED, final=True)
