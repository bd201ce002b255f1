"""Passwords that an LDAP server knows: bind as the person and see (RFC 4511 §4.2, RFC 4513 §5.1.3).

Either the name leads to the entry by a template, or it is searched for first. Needs the extra
``[ldap]`` of the package.
"""

import asyncio
import re
import ssl
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from posthouse.accounts.answers import Elsewhere, ElsewhereError
from posthouse.policy.facts import Address

if TYPE_CHECKING:
    from posthouse.accounts.ldap_conversation import Conversation

ANSWER_SECONDS_MAX: Final = 10.0
_IN_DN: Final = re.compile(r'[,+"\\<>;=\x00-\x1f]|^[# ]| $')


class LdapSettings(Struct, frozen=True):
    """Where and how to ask.

    Attributes:
        host: Name or address of the server.
        port: Usually 389, or 636 for `tls` from the start.
        tls: From the first octet.
        start_tls: By the StartTLS operation.
        bind_dn: Template of a person's entry, with {address}, {local_part} or {domain}; "" to
            search for it.
        search_base: Where entries are searched.
        search_filter: Template of the filter, as ``(mail={address})``.
        search_dn: Who searches; "" for anybody.
        search_password: That one's password.
    """

    host: str
    port: int
    tls: bool = False
    start_tls: bool = False
    bind_dn: str = ""
    search_base: str = ""
    search_filter: str = "(mail={address})"
    search_dn: str = ""
    search_password: str = ""

    def __repr__(self) -> str:
        return f"LdapSettings({self.host}:{self.port})"


class LdapDirectory:
    """Asks an LDAP server whether a password is right; one connection for a question."""

    def __init__(self, settings: LdapSettings, *, tls: ssl.SSLContext | None = None) -> None:
        """Prepare to ask.

        Args:
            settings: Where and how.
            tls: Whom to trust; the system's certificates without one.

        Raises:
            ElsewhereError: If the package's extra is not installed.
        """
        try:
            from posthouse.accounts import ldap_conversation  # noqa: PLC0415 - needs the extra
        except ImportError:
            raise ElsewhereError(
                "LDAP needs another package: pip install 'posthouse[ldap]'"
            ) from None
        self._settings = settings
        self._tls = tls or ssl.create_default_context()
        self._open = ldap_conversation.Conversation.open

    async def check(self, name: str, password: str, *, address: Address) -> Elsewhere:  # noqa: ARG002
        """Return whether the server lets the person in.

        Raises:
            ElsewhereError: If it cannot be asked, or answers what is neither yes nor no.
        """
        if not password or "\0" in name + password:
            return Elsewhere.WRONG  # a bind without password succeeds for anybody (RFC 4513 §5.1.2)
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await self._ask(name, password)
        except TimeoutError:
            raise ElsewhereError(f"the LDAP server {where} does not answer") from None
        except (OSError, ValueError) as problem:
            raise ElsewhereError(f"the LDAP server {where}: {problem}") from problem

    async def _ask(self, name: str, password: str) -> Elsewhere:
        settings = self._settings
        conversation = await self._open(
            settings.host, settings.port, self._tls, from_start=settings.tls
        )
        try:
            if settings.start_tls:
                await conversation.start_tls(self._tls, settings.host)
            dn = await self._entry(conversation, name)
            if not dn:
                return Elsewhere.WRONG
            return await conversation.bind(dn, password)
        finally:
            conversation.close()

    async def _entry(self, conversation: "Conversation", name: str) -> str:
        settings = self._settings
        local_part, _, domain = name.rpartition("@") if "@" in name else (name, "", "")
        parts = {"address": name, "local_part": local_part, "domain": domain}
        if settings.bind_dn:
            return _filled(settings.bind_dn, {it: _in_dn(text) for it, text in parts.items()})
        if settings.search_dn:
            told = await conversation.bind(settings.search_dn, settings.search_password)
            if told is not Elsewhere.RIGHT:
                raise ElsewhereError(f"{settings.search_dn} may not search")
        wanted = {it: _in_filter(text) for it, text in parts.items()}
        return await conversation.search(
            settings.search_base, _filled(settings.search_filter, wanted)
        )


def _filled(template: str, parts: dict[str, str]) -> str:
    for name, text in parts.items():
        template = template.replace(f"{{{name}}}", text)
    return template


def _in_dn(text: str) -> str:
    """Escape a value of a distinguished name (RFC 4514 §2.4)."""
    return _IN_DN.sub(lambda found: "".join(f"\\{it:02x}" for it in found[0].encode()), text)


def _in_filter(text: str) -> str:
    """Escape a value of a filter (RFC 4515 §3)."""
    return "".join(f"\\{ord(it):02x}" if it in "\\*()\0" else it for it in text)
