"""TLS between octets and octets, on memory (`ssl.MemoryBIO`): for protocols that do their own I/O.

Ciphertext goes in, plaintext comes out, and the other way round. Nothing is kept that the caller
did not give: what was received is decrypted at once, what is to be sent is taken by `outgoing`.
"""

import ssl
from typing import Final

READ_OCTETS: Final = 65536
_DER: Final = 2  # _ssl.ENCODING_DER


class TlsError(Exception):
    """The peer broke TLS, or the handshake failed; the message is for the log.

    Attributes:
        certificate_code: Why the peer's certificate is not accepted, as OpenSSL counts the reasons
            (X509_V_ERR); 0 where that is not the trouble.
    """

    def __init__(self, message: str, certificate_code: int = 0) -> None:
        super().__init__(message)
        self.certificate_code = certificate_code


class CertifiedContext(ssl.SSLContext):
    """A server's context that knows what its certificate binds a sign-in to.

    Attributes:
        end_point: Hash of the certificate (tls-server-end-point, RFC 5929 section 4.1); empty
            where the certificate's signature has no hash to go by.
        asking: The same, but clients are asked for a certificate; None where nobody could vouch
            for one.
    """

    end_point: bytes = b""
    asking: "CertifiedContext | None" = None


class TlsPipe:
    """One TLS session, either side.

        plaintext = pipe.receive(octets_from_the_socket)
        pipe.send(plaintext_for_the_peer)
        transport.write(pipe.outgoing())

    After a `TlsError` write `outgoing` once more, it may hold an alert, and close.

    Attributes:
        handshake_done: Plaintext may flow.
        eof: The peer closed its direction properly (close_notify). A socket that ends without
            was cut off, by whomever.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
    ) -> None:
        self._end_point = context.end_point if isinstance(context, CertifiedContext) else b""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._unsent: list[bytes] = []  # plaintext that came before the handshake was done
        self.handshake_done = False
        self.eof = False
        if not server_side:
            self._shake_hands()  # a client speaks first

    def receive(self, octets: bytes) -> bytes:
        """Take ciphertext, return the plaintext in it, drive the handshake.

        Raises:
            TlsError: If this is not TLS, or the handshake fails.
        """
        self._incoming.write(octets)
        if not self.handshake_done and not self._shake_hands():
            return b""
        return self._plaintext()

    def send(self, octets: bytes) -> None:
        """Encrypt octets for the peer; before the handshake is done they wait.

        Raises:
            TlsError: If the session is closed or broken.
        """
        if not octets:
            return
        if not self.handshake_done:
            self._unsent.append(octets)
            return
        rest = memoryview(octets)
        try:
            while rest:  # `write` may take a single record of 16 KiB
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            raise _error(error) from error

    def outgoing(self) -> bytes:
        """Return and forget the ciphertext that is to be written."""
        return self._outgoing.read()

    def close(self) -> None:
        """Say close_notify; `outgoing` has it. The peer's own is not waited for."""
        if self.handshake_done:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # the peer has not closed yet, or is broken: both are fine now
                return

    @property
    def version(self) -> str | None:
        """Protocol version such as ``TLSv1.3``; None before the handshake is done."""
        return self._tls.version()

    @property
    def cipher(self) -> str | None:
        """Name of the cipher suite; None before the handshake is done."""
        cipher = self._tls.cipher()
        return cipher[0] if cipher else None

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate in DER; None where it showed none."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """The certificates that the peer showed, in DER, its own first; nothing verified them."""
        # Public since Python 3.13; before that, only the object within has it.
        chain = getattr(self._tls, "get_unverified_chain", None)
        if chain is not None:
            return tuple(chain() or ())
        inner = self._tls._sslobj  # type: ignore[attr-defined] # noqa: SLF001 - no other way
        return tuple(it.public_bytes(_DER) for it in inner.get_unverified_chain() or ())

    @property
    def bindings(self) -> dict[str, bytes]:
        """What a sign-in can be bound to, by type (RFC 5056), once the handshake is done.

        Python's ssl module cannot export keying material, so there is no tls-exporter (RFC 9266).
        """
        if not (self.handshake_done and self._end_point):
            return {}
        return {"tls-server-end-point": self._end_point}

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise _error(error) from error
        self.handshake_done = True
        waiting, self._unsent = self._unsent, []
        for octets in waiting:
            self.send(octets)
        return True

    def _plaintext(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(READ_OCTETS):
                pieces.append(piece)
            self.eof = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.eof = True
        except ssl.SSLError as error:
            raise _error(error) from error
        return b"".join(pieces)


def _error(error: ssl.SSLError) -> TlsError:
    if isinstance(error, ssl.SSLCertVerificationError):
        words = f"{error.reason or 'CERTIFICATE_VERIFY_FAILED'}: {error.verify_message}"
        return TlsError(words, error.verify_code)
    return TlsError(error.reason or str(error))
