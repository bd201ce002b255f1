"""Connections to web servers, found by our own resolver."""

import asyncio
import ssl
from typing import Final

from posthouse.dns.answers import Answer, TemporaryFailure
from posthouse.dns.resolver import Resolver
from posthouse.wire.https import Connect, Streams

ADDRESSES_MAX: Final = 4


def connector(resolver: Resolver) -> Connect:
    """Return what connects to a host by TLS, its addresses in turn."""

    async def connect(host: str, port: int, context: ssl.SSLContext) -> Streams:
        found = await resolver.addresses(host)
        if not isinstance(found, Answer):
            why = found.detail if isinstance(found, TemporaryFailure) else "it has no address"
            raise OSError(why)
        trouble = OSError("it has no address")
        for address in found.values[:ADDRESSES_MAX]:
            try:
                return await asyncio.open_connection(
                    str(address), port, ssl=context, server_hostname=host
                )
            except ssl.SSLError:
                raise
            except OSError as problem:
                trouble = problem
        raise trouble

    return connect
