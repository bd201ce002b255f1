"""Who else knows passwords, and whose tokens are believed."""

from typing import Annotated, Final

from pydantic import PlainValidator, model_validator
from pydantic.json_schema import WithJsonSchema

from posthouse.config.section import Section, meaning
from posthouse.config.values import FilePath, Flag, Text, fault, text_of

DIRECTORIES: Final = ("ldap://", "ldaps://", "dovecot:/", "passwd-file:/")


def read_directory(value: object) -> str:
    """Return who knows passwords."""
    text = text_of(value).strip()
    begins = next((it for it in DIRECTORIES if text.startswith(it)), "")
    if not begins or text == begins:
        raise fault(
            "directory",
            f'"{text}" is nobody who knows passwords',
            'write "ldaps://ldap.example.com", "dovecot:/run/dovecot/auth-client" or'
            ' "passwd-file:/etc/posthouse/users"',
        )
    return text


def read_web_address(value: object) -> str:
    """Return an address that may be asked: https, or http on this machine."""
    text = text_of(value).strip()
    safe = ("https://", "http://127.0.0.1", "http://[::1]", "http://localhost")
    if not text.isascii() or " " in text or not text.startswith(safe):
        raise fault("web-address", f'"{text}" is no https address', 'write "https://…"')
    return text


Directory = Annotated[
    str,
    PlainValidator(read_directory),
    WithJsonSchema({"type": "string", "examples": ["ldaps://ldap.example.com"]}),
]
WebAddress = Annotated[
    str,
    PlainValidator(read_web_address),
    WithJsonSchema({"type": "string", "examples": ["https://id.example.com/introspect"]}),
]


class Ldap(Section):
    """How a person's entry is found in an LDAP directory."""

    start_tls: Annotated[
        Flag, meaning("Encrypt by StartTLS; for ldap://, where the directory is another machine.")
    ] = True
    bind_dn: Annotated[
        Text,
        meaning(
            "Name of a person's entry, with {address}, {local_part} and {domain} in it:"
            " uid={local_part},ou=people,dc=example,dc=com."
        ),
    ] = ""
    search_base: Annotated[Text, meaning("Without bind_dn: below which entry is searched.")] = ""
    search_filter: Annotated[Text, meaning("Without bind_dn: which entry is the person's.")] = (
        "(mail={address})"
    )
    search_dn: Annotated[Text, meaning("Who searches. Default: nobody in particular.")] = ""
    search_password_file: Annotated[
        FilePath | None, meaning("File that holds that one's password, one line.")
    ] = None

    @model_validator(mode="after")
    def _finds_entries(self) -> "Ldap":
        if bool(self.bind_dn) == bool(self.search_base):
            raise fault(
                "together",
                "either bind_dn or search_base says how a person's entry is found",
                'write bind_dn = "uid={local_part},ou=people,dc=example,dc=com"',
                key="bind_dn" if self.bind_dn else "",
            )
        return self


class Tokens(Section):
    """Whose bearer tokens are believed (OAUTHBEARER, XOAUTH2)."""

    issuer: Annotated[
        Text, meaning("Who must have made a token (iss): https://id.example.com. Needs keys_file.")
    ] = ""
    keys_file: Annotated[
        FilePath | None,
        meaning("Public keys that check signed tokens: a JSON Web Key set, or PEM."),
    ] = None
    introspection: Annotated[
        WebAddress | None, meaning("Without keys_file: where tokens are asked about (RFC 7662).")
    ] = None
    client_id: Annotated[Text, meaning("Who we are there.")] = ""
    client_secret_file: Annotated[
        FilePath | None, meaning("File that holds our password there, one line.")
    ] = None
    audience: Annotated[Text, meaning("For whom a token must be (aud). Default: anybody.")] = ""
    scope: Annotated[Text, meaning("Scope that a token must have. Default: none.")] = ""
    claim: Annotated[Text, meaning("Which claim names the account: email, sub, username.")] = (
        "email"
    )

    @model_validator(mode="after")
    def _one_way(self) -> "Tokens":
        if bool(self.keys_file) == bool(self.introspection):
            raise fault(
                "together",
                "either keys_file or introspection says whether a token is good",
                "write one of the two",
                key="keys_file" if self.keys_file else "",
            )
        if self.keys_file and not self.issuer:
            raise fault(
                "together",
                "keys_file needs issuer: the same keys may sign for others too",
                'write issuer = "https://id.example.com"',
                key="keys_file",
            )
        return self


class Accounts(Section):
    """Who else knows passwords. Our own are kept by `posthouse account`."""

    directory: Annotated[
        Directory | None,
        meaning(
            "Asked for passwords that are not ours: ldap://host, ldaps://host, dovecot:/path of"
            " its auth-client socket, passwd-file:/path."
        ),
    ] = None
    adopt: Annotated[
        Flag,
        meaning(
            "Who signs in by the directory and has no account yet gets one, if the address is in"
            " one of our domains. All names of a passwd-file get theirs at the start."
        ),
    ] = True
    keep_plain: Annotated[
        Flag,
        meaning(
            "Imported {PLAIN} and {CRAM-MD5} passwords stay as they are, for CRAM-MD5 and APOP;"
            " else they become hashes at the first sign-in."
        ),
    ] = False
    ldap: Annotated[
        Ldap | None, meaning("How a person's entry is found; for ldap:// and ldaps://.")
    ] = None
    tokens: Annotated[
        Tokens | None, meaning("Whose bearer tokens are believed. Default: nobody's.")
    ] = None

    @model_validator(mode="after")
    def _ldap_is_complete(self) -> "Accounts":
        wanted = (self.directory or "").startswith("ldap")
        if wanted != (self.ldap is not None):
            raise fault(
                "together",
                "an LDAP directory and [accounts.ldap] belong together",
                "add [accounts.ldap] with bind_dn" if wanted else "leave [accounts.ldap] out",
                key="directory" if wanted else "ldap",
            )
        return self
