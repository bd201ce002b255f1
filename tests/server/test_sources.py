"""From the configuration to whom the accounts ask."""

import json
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from joserfc import jwk

from posthouse.accounts.answers import Elsewhere
from posthouse.accounts.dovecot_auth import DovecotAuth
from posthouse.accounts.ldap import LdapDirectory
from posthouse.accounts.passwd_file import PasswdFile
from posthouse.accounts.tokens import IntrospectedTokens, SignedTokens
from posthouse.accounts.verifier import Sources
from posthouse.config.load import load
from posthouse.server.sources import adopt_all, sources_of
from posthouse.server.troubles import StartError
from tests.accounts.memory import MemoryAccountStore

HEAD = 'hostname = "mail.example.com"\n[domains."example.com"]\n[domains."far.example"]\n'
HEAD += 'deliver_via = "smtp://mx.far.example"\n'


def sources(base: Path, text: str) -> Sources:
    return sources_of(load(HEAD + text).configuration, base, lambda: datetime.now(UTC))


def test_without_words_about_it_nobody_else_is_asked(tmp_path: Path) -> None:
    found = sources(tmp_path, "")
    assert (found.directory, found.tokens, found.keeps_plain) == (None, None, False)


def test_only_addresses_that_are_kept_here_may_be_adopted(tmp_path: Path) -> None:
    found = sources(tmp_path, '[accounts]\ndirectory = "dovecot:/run/auth"\nkeep_plain = true')
    assert isinstance(found.directory, DovecotAuth)
    assert found.keeps_plain
    assert found.may_adopt("ann@example.com")
    for name in ("ann@far.example", "ann@else.example", "ann", "@", ""):
        assert not found.may_adopt(name)
    closed = sources(tmp_path, '[accounts]\ndirectory = "dovecot:/run/auth"\nadopt = false')
    assert not closed.may_adopt("ann@example.com")


async def test_names_of_a_passwd_file_have_accounts_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}word one\nbob@far.example:{PLAIN}x\n")
    text = f'[accounts]\ndirectory = "passwd-file:{tmp_path}/users"'
    found, store = sources(tmp_path, text), MemoryAccountStore()
    assert adopt_all(found, store) == 1
    assert adopt_all(found, store) == 0
    assert [it.name for it in store.list()] == ["ann@example.com"]
    assert isinstance(found.directory, PasswdFile)
    here = ip_address("192.0.2.7")
    said = await found.directory.check("ann@example.com", "word one", address=here)
    assert said is Elsewhere.RIGHT
    (tmp_path / "users").unlink()
    with pytest.raises(StartError, match="users"):
        adopt_all(sources(tmp_path, text), store)


def test_an_ldap_directory_is_asked_by_tls(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("word\n")
    found = sources(
        tmp_path,
        '[accounts]\ndirectory = "ldap://ldap.example.com"\n[accounts.ldap]\n'
        'search_base = "dc=example"\nsearch_dn = "cn=s"\nsearch_password_file = "secret"',
    )
    assert isinstance(found.directory, LdapDirectory)
    settings = found.directory._settings
    assert (settings.port, settings.start_tls, settings.search_password) == (389, True, "word")
    found = sources(
        tmp_path,
        '[accounts]\ndirectory = "ldaps://ldap.example.com"\n[accounts.ldap]\nbind_dn = "uid=x"',
    )
    assert isinstance(found.directory, LdapDirectory)
    settings = found.directory._settings
    assert (settings.port, settings.tls, settings.start_tls) == (636, True, False)


def test_tokens_are_judged_by_keys_or_by_their_issuer(tmp_path: Path) -> None:
    key = jwk.ECKey.generate_key("P-256").as_dict(private=False)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key]}))
    (tmp_path / "secret").write_text("word\n")
    signed = sources(
        tmp_path,
        '[accounts.tokens]\nissuer = "https://id.example.com"\nkeys_file = "keys.json"',
    )
    assert isinstance(signed.tokens, SignedTokens)
    asked = sources(
        tmp_path,
        '[accounts.tokens]\nintrospection = "https://id.example.com/i"\n'
        'client_id = "mail"\nclient_secret_file = "secret"',
    )
    assert isinstance(asked.tokens, IntrospectedTokens)
    (tmp_path / "keys.json").write_text("{}")
    with pytest.raises(StartError, match="keys"):
        sources(tmp_path, '[accounts.tokens]\nissuer = "https://x"\nkeys_file = "keys.json"')
    with pytest.raises(StartError, match="cannot be read"):
        sources(tmp_path, '[accounts.tokens]\nissuer = "https://x"\nkeys_file = "none.json"')
