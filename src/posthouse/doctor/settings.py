"""The right settings for sending, for each mail program, and how pasted ones differ."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from msgspec import Struct

from posthouse.doctor.translation import LANGUAGES, translations
from posthouse.doctor.words import fold

# A listener's service -> the encryption a program must choose for it (RFC 8314 §3.3).
_SECURITY: Final = {"submissions": "SSL/TLS", "submission": "STARTTLS"}
_PREFERRED: Final = ("submissions", "submission")

# Program -> its own labels, in the order of its form: server, port, security, sign-in, user name.
_LABELS: Final = {
    "outlook": (
        "Outgoing mail server (SMTP)",
        "Outgoing server (SMTP)",
        "Use the following type of encrypted connection",
        "My outgoing server (SMTP) requires authentication",
        "User Name",
    ),
    "outlook-express": (
        "Outgoing mail (SMTP)",
        "Outgoing mail (SMTP) port",
        "This server requires a secure connection (SSL)",
        "My server requires authentication",
        "Account name",
    ),
    "apple-mail": ("Host Name", "Port", "Use TLS/SSL", "Authentication", "User Name"),
    "ios-mail": ("Host Name", "Server Port", "Use SSL", "Authentication", "User Name"),
    "thunderbird": (
        "Server Name",
        "Port",
        "Connection security",
        "Authentication method",
        "User Name",
    ),
    "k9": ("SMTP server", "Port", "Security", "Require sign-in", "Username"),
    "any": ("Outgoing server", "Port", "Encryption", "Authentication", "User name"),
}
_NAMES: Final = ("server", "port", "security", "authentication", "user")
_SIGN_IN: Final = {
    "apple-mail": "Password",
    "ios-mail": "Password",
    "thunderbird": "Normal password",
}


class Outgoing(Struct, frozen=True):
    """How to send: what is the same for every program."""

    server: str
    port: int
    security: str
    user: str
    authentication: bool = True


class Field(Struct, frozen=True):
    """One field of a program's form.

    Attributes:
        name: server, port, security, authentication or user.
        label: As the program calls it.
        value: What belongs there.
    """

    name: str
    label: str
    value: str


class ProgramSettings(Struct, frozen=True):
    """The fields of one mail program."""

    program: str
    fields: tuple[Field, ...]


class Difference(Struct, frozen=True):
    """A field, compared.

    Attributes:
        pasted: What was pasted; "" when the field was not found.
        right: Whether it is as it should be; None when the field was not found.
    """

    name: str
    pasted: str
    expected: str
    right: bool | None


def outgoing_for(address: str, host: str, ports: Mapping[str, int]) -> Outgoing:
    """Return the right way to send.

    Args:
        address: The person's address; it is the user name too.
        host: The name the server's certificate is for.
        ports: Service -> port, of "submissions" and "submission"; TLS from the start is preferred.

    Raises:
        ValueError: If there is no service for submission.
    """
    for service in _PREFERRED:
        if service in ports:
            return Outgoing(host, ports[service], _SECURITY[service], address)
    raise ValueError("no listener takes submissions")


def settings_for(
    address: str, host: str, ports: Mapping[str, int], language: str = "en"
) -> tuple[ProgramSettings, ...]:
    """Return the fields of every known program, in the words of its version in that language.

    The other arguments, and what is raised, are as for `outgoing_for`.
    """
    return fields_of(outgoing_for(address, host, ports), language)


def fields_of(right: Outgoing, language: str = "en") -> tuple[ProgramSettings, ...]:
    """Return the fields of every known program for these settings."""
    return tuple(_settings_of(program, right, language) for program in _LABELS)


def label_texts() -> tuple[str, ...]:
    """Return every label and value that is translated."""
    labels = [label for labels in _LABELS.values() for label in labels]
    return tuple(dict.fromkeys([*labels, *_SIGN_IN.values(), "On"]))


def _settings_of(program: str, right: Outgoing, language: str) -> ProgramSettings:
    say = translations(language).gettext
    values = (
        right.server,
        str(right.port),
        right.security,
        say(_SIGN_IN.get(program, "On")),
        right.user,
    )
    labels = _LABELS[program]
    fields = (
        Field(name, say(label), value)
        for name, label, value in zip(_NAMES, labels, values, strict=True)
    )
    return ProgramSettings(program, tuple(fields))


_PASTED: Final = {
    "server": re.compile(
        r"(?:outgoing (?:mail )?server(?: \(smtp\))?|outgoing mail \(smtp\)|smtp server"
        r"|smtp-server|server name|host ?name|\bsmtp|发件服务器(?:\(smtp\))?"
        r"|发送邮件服务器(?:\(smtp\))?"
        r"|postausgangsserver|server)\s?[:=]\s?"
        r"([a-z0-9-]+(?:\.[a-z0-9-]+)+)"
    ),
    "port": re.compile(r"(?:port|端口|anschluss|puerto|porta|порт)[^0-9\n]{0,24}?(\d{2,5})"),
    "security": re.compile(
        r"(?:security|encryption|encrypted connection|ssl\)?|tls"
        r"|加密(?:方式|类型)?|安全性?)\s?[:=]\s?"
        r"(starttls|ssl/tls|tls/ssl|ssl|tls|none|no|yes|auto|无|是|否)"
    ),
    "authentication": re.compile(
        r"(?:authentication(?: method)?|requires authentication|require sign-in"
        r"|身份验证|认证方式|验证)\s?[:=]\s?"
        r"([^\n]{1,40})"
    ),
    "user": re.compile(r"(?:user ?name|account name|login|用户名|帐户名|账户名)\s?[:=]\s?(\S+)"),
}
_OFF: Final = frozenset({"off", "no", "none", "no authentication", "无", "否", "关", "未勾选"})


_SEPARATOR: Final = re.compile(r"\s*[:=\t\uff1a\uff1d]\s*|\s{2,}")


def compare(pasted: str, right: Outgoing) -> tuple[Difference, ...]:
    """Compare pasted settings with the right ones, field by field.

    A line that begins with a program's own label, in any language known here, is that field; what
    is written otherwise is looked for by the words around it.
    """
    lines = pasted.splitlines()
    labelled = _labelled(lines)
    text = "\n".join(map(fold, lines))
    found = {name: labelled.get(name) or _first(_PASTED[name], text) for name in _NAMES}
    expectations = (right.server, str(right.port), right.security, "On", right.user)
    differences = []
    for name, expected in zip(_NAMES, expectations, strict=True):
        value = found[name]
        same = _same(name, value, expected) if value and expected else None
        differences.append(Difference(name, value, expected, same))
    return tuple(differences)


def _labelled(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        for separator in _SEPARATOR.finditer(line):
            name = _label_names().get(fold(line[: separator.start()]).strip(" -*\u2022"))
            value = fold(line[separator.end() :]).strip()
            if name and value:
                found.setdefault(name, value)
                break
    return found


@cache
def _label_names() -> dict[str, str]:
    """Folded label -> field. What two programs use for different fields is left out."""
    names: dict[str, set[str]] = {}
    for language in LANGUAGES:
        say = translations(language).gettext
        for labels in _LABELS.values():
            for name, label in zip(_NAMES, labels, strict=True):
                names.setdefault(fold(say(label)), set()).add(name)
    return {label: min(fields) for label, fields in names.items() if len(fields) == 1}


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1].strip() if match else ""


def _same(name: str, value: str, expected: str) -> bool:
    if name == "authentication":
        return value not in _OFF
    if name == "security":
        from_start = value in {"ssl/tls", "tls/ssl", "ssl", "yes", "是"}
        return from_start if expected == "SSL/TLS" else value in {"starttls", "tls", "auto"}
    return value == expected.lower()
