"""The configuration file: every key, what it means, and what holds if it is left out.

The manual, the reference and the schema for editors are made from these classes. What is
absent has its default, and the defaults alone make a complete, safe server.
"""

from typing import Annotated, Final

from pydantic import Field

from posthouse.config.schema_accounts import Accounts, Ldap, Tokens
from posthouse.config.schema_authentication import Authentication
from posthouse.config.schema_doors import (
    AnyDoor,
    Certificate,
    Door,
    HostName,
    Identity,
    LostAddresses,
    Network,
    PopWindow,
    SignedIn,
)
from posthouse.config.schema_listeners import (
    DEFAULT_LISTENERS,
    Domain,
    Listener,
    ServiceName,
    Tls,
    TlsRule,
)
from posthouse.config.schema_outbound import (
    Dns,
    Outbound,
    Route,
    Screening,
    Security,
    SmartHostSignIn,
    TlsReports,
)
from posthouse.config.schema_storage import (
    WORDING_FIELDS,
    AccountBudgets,
    AddressBudgets,
    Keep,
    Limits,
    Log,
    Refusals,
    Storage,
)
from posthouse.config.schema_tests import Expectation, PolicyTest, Shadow
from posthouse.config.section import Section, meaning
from posthouse.config.values import (
    Address,
    DomainName,
    Endpoint,
    Name,
    NetworkText,
    Text,
    Via,
    ViaKind,
    WorkerCount,
)
from posthouse.mail.address import Mailbox

__all__ = [
    "WORDING_FIELDS",
    "AccountBudgets",
    "Accounts",
    "AddressBudgets",
    "AnyDoor",
    "Authentication",
    "Certificate",
    "Configuration",
    "Dns",
    "Domain",
    "Door",
    "Endpoint",
    "Expectation",
    "HostName",
    "Identity",
    "Keep",
    "Ldap",
    "Limits",
    "Listener",
    "Log",
    "LostAddresses",
    "Network",
    "NetworkText",
    "Outbound",
    "PolicyTest",
    "PopWindow",
    "Refusals",
    "Route",
    "Screening",
    "Security",
    "ServiceName",
    "Shadow",
    "SignedIn",
    "SmartHostSignIn",
    "Storage",
    "Tls",
    "TlsReports",
    "TlsRule",
    "Tokens",
    "Via",
    "ViaKind",
]

DEFAULT_DOORS: Final = (SignedIn(who="signed-in"),)
DEFAULT_SCREENING: Final = (Screening(name="test string", ask="gtube"),)


class Configuration(Section):
    """The whole file, in the order of a message's life."""

    hostname: Annotated[DomainName, meaning("Our own name, as other servers find it in DNS.")]
    postmaster: Annotated[
        Address | None,
        meaning("Who reads what is sent to postmaster. Default: postmaster at the first domain."),
    ] = None
    user: Annotated[
        Text, meaning("Who to run as, once the ports are open; only where started as root.")
    ] = ""
    group: Annotated[Text, meaning("Group to run as. Default: the user's own.")] = ""
    workers: Annotated[
        WorkerCount,
        meaning(
            "Processes that share the ports, each with its own spool: a number, or auto for as many"
            " as this server may use processors, 8 at most."
        ),
    ] = "auto"
    domains: Annotated[
        dict[DomainName, Domain], meaning("Domains we take mail for, from anyone.")
    ] = Field(default_factory=dict)
    tls: Annotated[Tls, meaning("The certificate we show.")] = Tls()
    listen: Annotated[
        dict[Name, Listener],
        meaning("Where we listen. Default: mx, submission, submissions, pop3 and pop3s."),
    ] = Field(default_factory=lambda: dict(DEFAULT_LISTENERS))
    accounts: Annotated[Accounts, meaning("Who else knows passwords.")] = Accounts()
    may_relay: Annotated[
        tuple[AnyDoor, ...],
        meaning(
            "Who may send to other domains. Default: whoever signed in."
            " What is written replaces the default."
        ),
    ] = DEFAULT_DOORS
    lost_addresses: Annotated[
        LostAddresses, meaning("When many clients seem to share one address.")
    ] = LostAddresses()
    identity: Annotated[Identity, meaning("Who may write as whom.")] = Identity.model_validate({})
    refusals: Annotated[Refusals, meaning("What we say when we refuse.")] = Refusals()
    outbound: Annotated[Outbound, meaning("Where mail goes out.")] = Outbound()
    tls_reports: Annotated[
        TlsReports, meaning("What other domains are told about TLS with their servers.")
    ] = TlsReports()
    authentication: Annotated[Authentication, meaning("Being believed, and whom to believe.")] = (
        Authentication()
    )
    dns: Annotated[Dns, meaning("Who answers our DNS questions.")] = Dns()
    limits: Annotated[Limits, meaning("How much.")] = Limits()
    screening: Annotated[
        tuple[Screening, ...],
        meaning("What is looked at. Default: the GTUBE test string, held."),
    ] = DEFAULT_SCREENING
    storage: Annotated[Storage, meaning("Where things are kept.")] = Storage()
    log: Annotated[Log, meaning("What the log looks like.")] = Log()
    test: Annotated[
        tuple[PolicyTest, ...],
        meaning("Questions with the answers they must have; a file that fails them is refused."),
    ] = ()
    shadow: Annotated[Shadow, meaning("Another configuration, tried beside this one.")] = Shadow()

    @property
    def forwarding_domain(self) -> str:
        """Domain of rewritten reverse-paths and of seals; "" if nothing can be rewritten."""
        kept_here = (name for name, domain in self.domains.items() if not domain.deliver_via)
        return self.authentication.forwards_as or next(kept_here, "")

    @property
    def postmaster_mailbox(self) -> Mailbox:
        """Who reads what is sent to postmaster (RFC 5321 section 4.5.1)."""
        if self.postmaster:
            return self.postmaster
        return Mailbox("postmaster", next(iter(self.domains), self.hostname))
