"""The TLS pipe against another pipe, against the real `ssl` module, and against what is no TLS."""

import ssl

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.wire.tls import TlsError, TlsPipe

AUTHORITY = trustme.CA()
NAME = "mail.example"


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(NAME).configure_cert(context)
    return context


def client_context(maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = maximum
    AUTHORITY.configure_trust(context)
    return context


SERVER_CONTEXT, CLIENT_CONTEXT = server_context(), client_context()


def pair(context: ssl.SSLContext = CLIENT_CONTEXT) -> tuple[TlsPipe, TlsPipe]:
    client = TlsPipe(context, server_side=False, server_hostname=NAME)
    return client, TlsPipe(SERVER_CONTEXT, server_side=True)


def carry(sender: TlsPipe, receiver: TlsPipe, step: int = 1 << 20) -> bytes:
    """Bring what `sender` has to say to `receiver`, in pieces; return the plaintext."""
    octets, plaintext = sender.outgoing(), b""
    for at in range(0, len(octets), step):
        plaintext += receiver.receive(octets[at : at + step])
    return plaintext


def joined(client: TlsPipe, server: TlsPipe, step: int = 1 << 20) -> None:
    for _ in range(3):
        carry(client, server, step)
        carry(server, client, step)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_plaintext_goes_both_ways(version: ssl.TLSVersion) -> None:
    client, server = pair(client_context(version))
    joined(client, server)
    assert (client.handshake_done, server.handshake_done) == (True, True)
    client.send(b"EHLO a\r\n")
    client.send(b"")
    assert carry(client, server) == b"EHLO a\r\n"
    server.send(b"250 b\r\n")
    assert carry(server, client) == b"250 b\r\n"
    assert server.version == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
    assert server.cipher == client.cipher
    assert server.cipher is not None
    assert client.peer_certificate is not None
    assert server.peer_certificate is None


@given(st.integers(1, 200), st.binary(max_size=100_000))
@settings(max_examples=15, deadline=None)
def test_any_split_gives_the_same_plaintext(step: int, content: bytes) -> None:
    client, server = pair()
    joined(client, server, step)
    client.send(content)
    assert carry(client, server, step * 100) == content


def test_what_is_sent_before_the_handshake_is_done_waits() -> None:
    client, server = pair()
    client.send(b"EHLO a\r\n")
    received = b""
    for _ in range(3):
        received += carry(client, server)
        carry(server, client)
    assert received == b"EHLO a\r\n"


def test_a_close_is_seen() -> None:
    client, server = pair()
    client.close()  # before the handshake there is nothing to close
    joined(client, server)
    client.send(b"QUIT\r\n")
    client.close()
    assert carry(client, server) == b"QUIT\r\n"
    assert server.eof
    server.close()
    carry(server, client)
    assert not client.outgoing()


def test_a_connection_cut_off_is_told_from_a_close() -> None:
    client, server = pair()
    joined(client, server)
    client.send(b"half a mess")
    octets = client.outgoing()
    assert server.receive(octets[:-3]) == b""
    assert not server.eof


def test_half_a_handshake_waits_and_costs_little() -> None:
    client, server = pair()
    hello = client.outgoing()
    assert server.receive(hello[:-1]) == b""
    assert (server.handshake_done, server.cipher) == (False, None)
    assert server.outgoing() == b""
    server.receive(hello[-1:])
    assert server.outgoing()


@pytest.mark.parametrize(
    "octets",
    [b"EHLO client.example\r\n", b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 70_000],
)
def test_what_is_no_tls_is_an_error(octets: bytes) -> None:
    _, server = pair()
    with pytest.raises(TlsError) as broken:
        server.receive(octets)
    assert str(broken.value)


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=50, deadline=None)
def test_garbage_raises_nothing_else(octets: bytes) -> None:
    _, server = pair()
    try:
        plaintext = server.receive(octets)
    except TlsError:
        return
    assert plaintext == b""
    assert not server.handshake_done


def test_garbage_after_the_handshake_is_an_error() -> None:
    client, server = pair()
    joined(client, server)
    with pytest.raises(TlsError):
        server.receive(b"NOOP\r\n" * 10)
    with pytest.raises(TlsError):
        server.send(b"too late")


def test_a_certificate_for_another_name_is_refused() -> None:
    client = TlsPipe(CLIENT_CONTEXT, server_side=False, server_hostname="other.example")
    server = TlsPipe(SERVER_CONTEXT, server_side=True)
    carry(client, server)
    with pytest.raises(TlsError, match="CERTIFICATE_VERIFY_FAILED"):
        carry(server, client)
    assert client.outgoing()  # an alert, to be written before the close


def test_the_alert_of_a_client_is_an_error_at_the_server() -> None:
    client = TlsPipe(CLIENT_CONTEXT, server_side=False, server_hostname="other.example")
    server = TlsPipe(SERVER_CONTEXT, server_side=True)
    carry(client, server)
    with pytest.raises(TlsError):
        carry(server, client)
    with pytest.raises(TlsError):
        carry(client, server)


def test_nothing_can_be_sent_after_a_close() -> None:
    client, server = pair()
    joined(client, server)
    client.close()
    client.close()
    with pytest.raises(TlsError):
        client.send(b"too late")


def test_it_speaks_with_the_ssl_module() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = CLIENT_CONTEXT.wrap_bio(incoming, outgoing, server_hostname=NAME)
    server = TlsPipe(SERVER_CONTEXT, server_side=True)
    for _ in range(3):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            server.receive(outgoing.read())
            incoming.write(server.outgoing())
    client.write(b"NOOP\r\n")
    assert server.receive(outgoing.read()) == b"NOOP\r\n"
    server.send(b"x" * 100_000)
    incoming.write(server.outgoing())
    read = b""
    while len(read) < 100_000:
        read += client.read(65536)
    assert read == b"x" * 100_000


def test_the_chain_is_there_even_where_nobody_verified_it() -> None:
    client, server = pair()
    joined(client, server)
    assert client.peer_certificate is not None
    assert client.peer_chain[:1] == (client.peer_certificate,)
    assert server.peer_chain == ()
