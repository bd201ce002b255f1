"""Every code a configuration can earn, with its explanation; codes are never reused.

C is an error: the server does not start. W is a warning: it starts, but look at it.
"""

from typing import Final

from posthouse.config.diagnostic import Diagnostic, Severity
from posthouse.config.spans import Span

# From the `type` of a pydantic error, or the kind given to `values.fault`, to our code.
CODES: Final = {
    "toml": "C001",
    "toml-twice": "C002",
    "encoding": "C003",
    "extra_forbidden": "C010",
    "missing": "C011",
    "enum": "C012",
    "literal_error": "C012",
    "union_tag_invalid": "C012",
    "union_tag_not_found": "C011",
    "text": "C013",
    "string_type": "C013",
    "tuple_type": "C014",
    "model_type": "C015",
    "model_attributes_type": "C015",
    "dict_type": "C015",
    "int_type": "C016",
    "bool_type": "C017",
    "greater_than_equal": "C018",
    "less_than_equal": "C018",
    "too_short": "C019",
    "duration": "C020",
    "size": "C021",
    "rate": "C022",
    "date": "C023",
    "network": "C030",
    "everybody": "C031",
    "endpoint": "C032",
    "domain": "C033",
    "address": "C034",
    "pattern": "C035",
    "route": "C035",
    "via": "C036",
    "deliver-via": "C036",
    "secret": "C037",
    "path": "C038",
    "name": "C039",
    "client": "C040",
    "same-endpoint": "C041",
    "same-domain": "C042",
    "same-name": "C043",
    "together": "C044",
    "reason": "C045",
    "wording": "C046",
    "help-link": "C047",
    "mailboxes": "C048",
    "expect": "C049",
    "ask": "C050",
    "not-yet": "C051",
    "directory": "C052",
    "web-address": "C053",
    "certificate": "C054",
    "other": "C099",
    # cross-checks, `check.py`
    "listener-unknown": "C060",
    "listener-other-service": "C061",
    "covers-everything": "C062",
    "deliver-via-self": "C064",
    "catch-all-foreign": "C065",
    "postmaster-foreign": "C066",
    "forwards-as-foreign": "C067",
    "mechanism": "C068",
    "no-authorities": "C069",
    "same-route": "C071",
    # tests as data, `policy_tests.py`
    "policy-test": "C070",
    "ended": "W101",
    "ends-soon": "W102",
    "wide": "W103",
    "gateway": "W104",
    "nobody-signs-in": "W105",
    "sends-as-foreign": "W106",
    "linger-short": "W107",
    "service-not-yet": "W108",
    "no-domains": "W110",
    "gives-up-early": "W111",
    "anything": "W112",
    "password-in-clear": "W113",
    "self-made": "W114",
    "window-unused": "W115",
    "same-door-name": "W116",
    "narrowed-in-vain": "W117",
    "told-late": "W118",
    "budget-missing": "W119",
    "route-unused": "W120",
    "short-hostname": "W121",
    "nobody-has-plain": "W122",
    # of this machine, `server/preflight.py`
    "missing-here": "W123",
    "wide-together": "W124",
    "dane-unseen": "W125",
    "few-processors": "W126",
}

EXPLANATIONS: Final = {
    "C001": "The file is not TOML. Each line is a [table], a [[list of tables]], or key = value;"
    " text stands in quotes, lists in square brackets with commas between.",
    "C002": "TOML allows each key and each [table] once. Put everything about it in one place.",
    "C003": "The file must be UTF-8. Save it with that encoding in your editor.",
    "C010": "Posthouse knows no such key there. It is not ignored, because a rule that is"
    " ignored is a hole. The nearest known name is suggested.",
    "C011": "This table needs that key; everything that has a sensible default may be left out.",
    "C012": "Only the listed words are possible here, in quotes and in lower case.",
    "C013": "Text stands in quotes and on one line.",
    "C014": 'Several values stand in square brackets, even if there is only one: ["one"].',
    "C015": "A table has a heading of its own, [table], and its keys on the lines below.",
    "C016": "A count is a whole number without quotes and without a unit.",
    "C017": "Write true or false, without quotes.",
    "C018": "The number is smaller or larger than what can work.",
    "C019": "An empty list says nothing. Leave the key out for the default.",
    "C020": "A duration is a whole number and a unit: s, min, h, days, weeks.",
    "C021": "A size is a whole number and a unit: B, KB, MB, GB (thousands) or KiB, MiB, GiB.",
    "C022": 'A rate is a count per time: "500 per hour", "10 per 10 min".',
    "C023": "A date is written without quotes: 2026-06-30 is that whole day in UTC;"
    " 2026-06-30T18:00:00+09:00 is a moment; without an offset it is UTC.",
    "C030": "A network is an address, a network in CIDR notation whose host bits are zero, or a"
    " range first-last. IPv4 addresses inside IPv6 (::ffff:192.0.2.7) mean the IPv4 address.",
    "C031": "Who lets everybody relay runs an open relay, and is blocked within hours. Mail for"
    " your own domains is accepted from everyone without any entry.",
    "C032": "A listener is an IP address and a port. IPv6 addresses stand in square brackets."
    " 0.0.0.0 is all IPv4 addresses of this machine, [::] all IPv6 ones.",
    "C033": "A domain name has labels of letters, digits and hyphens; international names may be"
    " written in their own script. Wildcards are not possible: name each domain.",
    "C034": "An address is name@example.com.",
    "C035": "Addresses are given as name@example.com, @example.com (all in it), *.example.com"
    " (its subdomains) or *; destinations as example.com, *.example.com or *.",
    "C036": "Mail goes on by mx (the exchangers of its domain), by smtp://host:port or"
    " smtps://host:port (one host), or stays here (capture). The exchangers of our own domains"
    " are ourselves, so deliver_via needs a host.",
    "C037": "Secrets never stand in this file, which is copied, mailed and shown. Put the secret"
    " alone into a file that only the server can read, and name that file.",
    "C038": "A path is missing.",
    "C039": "Names of listeners have letters, digits, hyphens and underscores, 64 at most.",
    "C040": "One IP address is needed here, without a prefix length.",
    "C041": "Two listeners cannot have one address and port. All addresses (0.0.0.0, [::])"
    " include each single one.",
    "C042": "Two spellings mean one domain: case does not count, and an international name is the"
    " same as its xn-- form.",
    "C043": "Traces tell entries apart by name, so a name occurs once.",
    "C044": "These keys only make sense together, or only apart.",
    "C045": "Refusals are named by reasons; `posthouse reasons` lists them.",
    "C046": "A wording is one line of plain ASCII, because SMTP replies are; it may hold fields.",
    "C047": "The link leads to the page that explains a case and must hold {case}.",
    "C048": "Each account needs its own mailbox, so the path must hold {domain} and {local_part}.",
    "C049": "A test expects a verdict and, if it matters, a reason: refuse not-recognised.",
    "C050": "Screening asks gtube or recipient-budget in this version.",
    "C051": "Planned, but not in this version. It is refused rather than ignored.",
    "C052": "Passwords may also be known to an LDAP server, a Dovecot, or a passwd file.",
    "C053": "Secrets and tokens travel by https only, except on this machine.",
    "C054": "A certificate is named by a host name or an address in it, or by its SHA-256.",
    "C060": "An entry names a listener that is not there, so it could never open.",
    "C061": "Only smtp and submission listeners take mail; who relays never comes by another.",
    "C062": "Together, the networks of may_relay cover every address: an open relay.",
    "C064": "deliver_via leads back to this server: mail would run in circles.",
    "C065": "A catch_all is a mailbox here; mail for other servers is forwarded by an alias.",
    "C066": "Mail to postmaster must be kept here, so that it can be read when nothing else works.",
    "C067": "Reports about forwarded mail come back to forwards_as, so it must be one of our own"
    " domains whose mail is kept here.",
    "C068": "A mechanism can be offered only where it can work: tokens need [accounts.tokens], and"
    " APOP is a command of POP3.",
    "C069": "A certificate can be shown by anybody; only one that somebody trusted has signed, or"
    " that is listed itself in tls.client_authorities, proves who its holder is.",
    "C071": "The most specific route wins and order never matters, so two routes for the same mail"
    " have no answer. Keep one, give one a list of hosts, or limit them by senders, accounts or"
    " listeners.",
    "C070": "A [[test]] says what the rules must decide, and they decide otherwise. Either the"
    " rules are wrong or the expectation is; the server does not start before they agree.",
    "W101": "The entry has closed itself; it can be taken out of the file.",
    "W102": "The entry closes within seven days. Who still needs it should hear of it now.",
    "W103": "A network this wide holds many strangers. Narrow it, or say why in `because`.",
    "W104": "Behind a container, proxy or NAT gateway every client seems to come from one private"
    " address. If that address may relay, everybody may. Bind the listener to a private address,"
    " keep the real addresses (host networking), or write `because` if you know it is right.",
    "W105": "No signed-in door is open on any listener, so people away from the known networks"
    " cannot send.",
    "W106": "The entry may write as addresses of domains that are not ours. SPF and DMARC of those"
    " domains may make others refuse that mail.",
    "W107": "Between two look-ups an address could be forgotten: linger should be longer.",
    "W108": "The listener is understood but not served in this version.",
    "W110": "Without a domain no mail is taken for anybody; only recognised clients can relay.",
    "W111": "RFC 5321 section 4.5.4.1: give up after 4 to 5 days or more. Weekends happen.",
    "W112": "Every account may write as everybody, also as your director.",
    "W113": "On this listener a password may be sent without encryption, and it can be reached"
    ' from other networks. tls = "before-sign-in" asks for encryption first.',
    "W114": "No certificate is configured, so Posthouse makes its own: mail programs will warn, and"
    " people learn to click warnings away. Let's Encrypt gives certificates for nothing.",
    "W115": "A POP window opens when mail is fetched by POP3, and no listener serves POP3.",
    "W116": "Two doors with one name cannot be told apart in traces.",
    "W117": "Doors are a set and any open one is enough: the limits of a narrow network do not"
    " hold where a wider one without them covers it.",
    "W118": "Senders are told about waiting mail only after it was given up.",
    "W119": "recipient-budget asks whether the budgets in [limits.each_account] or"
    " [limits.each_address] are used up, and there are none.",
    "W120": "A route for one of our own domains is never used: mail for it stays here, or goes"
    " where its deliver_via says.",
    "W121": "Other servers look our name up and want a full one, such as mail.example.com.",
    "C099": "The value does not fit.",
    "W124": "Each network may be narrow enough, but all of them together are more than a /8 (IPv6:"
    " a /16). Nobody has so many customers on one list.",
    "W123": "A file or user that the configuration names is not here, or cannot be read by whoever"
    " runs the check. On the machine that serves, the server would not start.",
    "W125": "DANE counts only what a resolver checked by DNSSEC, and it is believed only if it"
    " runs on this machine or [dns] says trust_ad = true. Without that no TLSA record counts.",
    "W126": "Each worker is a process that can keep a processor busy. More of them than there are"
    " processors take turns, which costs more than it brings.",
    "W122": "CRAM-MD5 and APOP need passwords that can be read. Without keep_plain they become"
    " hashes at the first sign-in by another mechanism, and these two stop working.",
}


def finding(
    kind: str,
    message: str,
    span: Span | None = None,
    help: str = "",  # noqa: A002 - as in `Diagnostic`
) -> Diagnostic:
    """Return the diagnostic of a kind of error or warning, with its code."""
    code = CODES[kind]
    severity = Severity.ERROR if code.startswith("C") else Severity.WARNING
    place = span or Span(0, 1, 1)
    return Diagnostic(code, severity, message, place.line, place.column, place.width, help)


def explain(code: str) -> str | None:
    """Return what a code means and what to do, or None if there is no such code."""
    return EXPLANATIONS.get(code.upper())
