"""Who knows passwords and tokens besides our own accounts, as the configuration names them."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from posthouse.accounts import schemes
from posthouse.accounts.answers import ElsewhereError
from posthouse.accounts.dovecot_auth import DovecotAuth
from posthouse.accounts.ldap import LdapDirectory, LdapSettings
from posthouse.accounts.passwd_file import PasswdFile
from posthouse.accounts.store import AccountExistsError, AccountStore
from posthouse.accounts.verifier import Directory, Sources, TokenJudge
from posthouse.config.schema import Configuration, Ldap, Tokens
from posthouse.mail.address import AddressError, parse_mailbox
from posthouse.server.troubles import EXIT_CONFIGURATION, StartError


def sources_of(configuration: Configuration, base: Path, now: Callable[[], datetime]) -> Sources:
    """Return whom to ask.

    Args:
        configuration: Names them.
        base: Where relative paths in it count from.
        now: The clock.

    Raises:
        StartError: If a file of keys or secrets cannot be used, or a package is missing.
    """
    accounts = configuration.accounts
    ours = frozenset(name for name, it in configuration.domains.items() if not it.deliver_via)

    def may_adopt(name: str) -> bool:
        try:
            return accounts.adopt and parse_mailbox(name).domain in ours
        except AddressError:
            return False

    return Sources(
        directory=_directory(configuration, base),
        may_adopt=may_adopt,
        tokens=_judge(accounts.tokens, base, now) if accounts.tokens else None,
        keeps_plain=accounts.keep_plain,
    )


def adopt_all(sources: Sources, store: AccountStore) -> int:
    """Make accounts of all names in a passwd file that have none yet; return how many.

    Raises:
        StartError: If the file cannot be read.
    """
    if not isinstance(sources.directory, PasswdFile):
        return 0
    added = 0
    try:
        for mailbox in sources.directory.mailboxes():
            if sources.may_adopt(str(mailbox)):
                try:
                    store.add(mailbox, schemes.ELSEWHERE)
                    added += 1
                except AccountExistsError:
                    continue
    except ElsewhereError as problem:
        raise StartError(str(problem), EXIT_CONFIGURATION) from None
    return added


def _directory(configuration: Configuration, base: Path) -> Directory | None:
    place = configuration.accounts.directory or ""
    kind, _, rest = place.partition(":")
    match kind:
        case "dovecot":
            return DovecotAuth(rest)
        case "passwd-file":
            domain = next(iter(configuration.domains), "")
            return PasswdFile(base / rest, domain=domain)
        case "ldap" | "ldaps":
            assert configuration.accounts.ldap is not None, "the schema wants both or none"
            try:
                return LdapDirectory(_ldap(place, configuration.accounts.ldap, base))
            except ElsewhereError as problem:
                raise StartError(str(problem), EXIT_CONFIGURATION) from None
        case _:
            return None


def _ldap(place: str, ldap: Ldap, base: Path) -> LdapSettings:
    parts = urlsplit(place)
    tls = parts.scheme == "ldaps"
    secret = ldap.search_password_file
    return LdapSettings(
        host=parts.hostname or "localhost",
        port=parts.port or (636 if tls else 389),
        tls=tls,
        start_tls=ldap.start_tls and not tls,
        bind_dn=ldap.bind_dn,
        search_base=ldap.search_base,
        search_filter=ldap.search_filter,
        search_dn=ldap.search_dn,
        search_password=_line(base / secret) if secret else "",
    )


def _judge(tokens: Tokens, base: Path, now: Callable[[], datetime]) -> TokenJudge:
    from posthouse.accounts.tokens import (  # noqa: PLC0415 - 60 ms that few servers need
        IntrospectedTokens,
        Introspection,
        SignedTokens,
        TokenRules,
    )

    rules = TokenRules(tokens.issuer, tokens.audience, tokens.scope, tokens.claim)
    if tokens.keys_file:
        path = base / tokens.keys_file
        try:
            return SignedTokens(_text(path), rules, now)
        except ValueError as problem:
            raise StartError(f"{path}: {problem}", EXIT_CONFIGURATION) from None
    secret = tokens.client_secret_file
    place = Introspection(
        tokens.introspection or "", tokens.client_id, _line(base / secret) if secret else ""
    )
    return IntrospectedTokens(place, rules, now)


def _line(path: Path) -> str:
    return _text(path).rstrip("\r\n")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise StartError(f"{path} cannot be read: {problem}", EXIT_CONFIGURATION) from None
