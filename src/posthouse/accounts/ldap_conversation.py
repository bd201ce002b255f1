"""One connection to an LDAP server and its questions, one after another (RFC 4511)."""

import asyncio
import ssl
from typing import Final

from sansldap import (
    BindResponse,
    ExtendedResponse,
    LDAPClient,
    LDAPError,
    LDAPFilter,
    LDAPMessage,
    SearchResultDone,
    SearchResultEntry,
)

from posthouse.accounts.answers import Elsewhere, ElsewhereError

READ_OCTETS: Final = 65536
ANSWER_OCTETS_MAX: Final = 1024 * 1024
START_TLS: Final = "1.3.6.1.4.1.1466.20037"  # RFC 4511 §4.14.1
_SUCCESS: Final = 0
_REFUSED: Final = frozenset({32, 34, 48, 49, 50, 53})  # no such entry, wrong password, not allowed


class Conversation:
    """A connection; `close` it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:

        self._reader = reader
        self._writer = writer
        self._client = LDAPClient()

    @classmethod
    async def open(
        cls, host: str, port: int, tls: ssl.SSLContext, *, from_start: bool
    ) -> "Conversation":
        """Connect, and encrypt where TLS comes from the start."""
        reader, writer = await asyncio.open_connection(host, port, ssl=tls if from_start else None)
        return cls(reader, writer)

    async def start_tls(self, tls: ssl.SSLContext, host: str) -> None:
        """Encrypt from now on (RFC 4511 §4.14)."""
        self._client.extended_request(START_TLS)
        for message in await self._messages():
            if isinstance(message, ExtendedResponse) and int(message.result.result_code) == 0:
                await self._writer.start_tls(tls, server_hostname=host)
                return
        raise ElsewhereError("the LDAP server does not start TLS")

    async def bind(self, dn: str, password: str) -> Elsewhere:
        """Return whether the server takes the password of an entry (RFC 4511 §4.2)."""
        self._client.bind_simple(dn, password)
        for message in await self._messages():
            if isinstance(message, BindResponse):
                code = int(message.result.result_code)
                if code == _SUCCESS:
                    return Elsewhere.RIGHT
                if code in _REFUSED:
                    return Elsewhere.WRONG
                raise ElsewhereError(f"the LDAP server answers with result {code}")
        raise ElsewhereError("the LDAP server answers something else")

    async def search(self, base: str, wanted: str) -> str:
        """Return the name of the one entry that the filter finds; "" for none or several."""
        self._client.search_request(
            base, size_limit=2, filter=LDAPFilter.from_string(wanted), attributes=["1.1"]
        )
        found: list[str] = []
        while True:
            for message in await self._messages():
                if isinstance(message, SearchResultEntry):
                    found.append(message.object_name)
                elif isinstance(message, SearchResultDone):
                    code = int(message.result.result_code)
                    if code not in (0, 4, 32):  # 4: more than two
                        raise ElsewhereError(f"the LDAP search ends with result {code}")
                    return found[0] if len(found) == 1 else ""

    def close(self) -> None:
        """End the connection."""
        self._writer.close()

    async def _messages(self) -> list[LDAPMessage]:
        """Send what waits, and return the next messages: one at least."""
        if waiting := self._client.data_to_send():
            self._writer.write(waiting)
            await self._writer.drain()
        received = 0
        while True:
            octets = await self._reader.read(READ_OCTETS)
            received += len(octets)
            if not octets or received > ANSWER_OCTETS_MAX:
                raise ElsewhereError("the LDAP server closed the connection, or says too much")
            try:
                messages = self._client.receive(octets)
            except LDAPError as problem:
                raise ElsewhereError(f"the LDAP server does not speak LDAP: {problem}") from None
            if messages:
                return messages
