"""Every SASL mechanism meets any responses: a secret wanted, a proof, or `SaslError`."""

from hypothesis import strategies as st

from posthouse.protocol import cram_md5, mechanisms, scram
from posthouse.protocol.cram_md5 import CramMd5Server
from posthouse.protocol.mechanisms import Circumstances, Turn
from posthouse.protocol.proofs import BearerToken, Proof, SecretWanted
from posthouse.protocol.sasl import Challenge, Credentials, SaslError
from posthouse.protocol.saslprep import SaslprepError, saslprep
from posthouse.protocol.scram import ScramClient, ScramServer
from tests.fuzz.fuzzing import damaged, fuzz, octets_of, text_of

AT = Circumstances("servernonce", "mail.example", {"tls-exporter": b"x" * 32}, mechanisms.NAMES)
SCRAM_SECRET = scram.derive("pencil", b"salt", 4096)
CRAM_SECRET = cram_md5.derive("pencil")
RESPONSES = st.one_of(
    octets_of(
        b"\0", b"ann", b"\0ann\0secret", b"n,", b"y,", b"p=tls-exporter,", b"a=bob,", b"n=", b"r=",
        b"c=biws,", b"r=abcservernonce", b",p=", b"AAAA", b"=2C", b"=3D", b"=", b",", b"m=1,",
        b"n,a=ann,", b"\x01", b"auth=Bearer abc", b"user=", b"\x01\x01", b" ", b"0" * 32,
        b"\xc3\xa4", b"\xff", b"z" * 5000, at_most=10,
    ),
    damaged(
        b"n,,n=ann,r=abc", b"y,a=bob,n=ann,r=abc", b"p=tls-exporter,,n=ann,r=abc",
        b"c=biws,r=abcservernonce,p=AAAA", b"ann 0123456789abcdef0123456789abcdef",
        b"\0ann\0secret", b"n,a=ann,\x01host=a\x01port=25\x01auth=Bearer abc\x01\x01",
        b"user=ann\x01auth=Bearer abc\x01\x01",
    ),
)  # fmt: skip
EXCHANGES = st.tuples(
    st.sampled_from(mechanisms.NAMES), st.lists(st.none() | RESPONSES, max_size=4)
)


@fuzz(EXCHANGES, allowed=(SaslError,))
def test_sasl(given: tuple[str, list[bytes | None]]) -> None:
    mechanism, responses = given
    machine = mechanisms.machine(mechanism, AT)
    for number, response in enumerate(responses):
        turn: Turn | Proof = machine.respond(response if number == 0 else response or b"")
        if isinstance(turn, SecretWanted) and isinstance(machine, ScramServer):
            turn = machine.provide([SCRAM_SECRET])
        elif isinstance(turn, SecretWanted) and isinstance(machine, CramMd5Server):
            turn = machine.provide([CRAM_SECRET])
        match turn:
            case Challenge(octets=octets):
                assert len(octets) < 8192
            case Credentials(name=name, password=password):
                assert name
                assert password
                assert "secret" not in repr(turn) or name.count("secret")
                return
            case Proof(matched=matched):
                assert matched is None, "nobody was told the secret"
                return
            case BearerToken(token=token):
                assert token.isascii()
                return
            case _:
                raise AssertionError(turn)


SERVER_WORDS = st.one_of(
    octets_of(b"r=abc", b"r=abcdef,", b"s=c2FsdA==,", b"i=4096", b"i=-1", b"e=no", b"v=AAAA", b",",
              b"m=x,", b"=", b"\xff"),
    damaged(b"r=abcdef,s=c2FsdA==,i=4096", b"v=AAAA", b"e=other-error"),
)  # fmt: skip


@fuzz(st.lists(SERVER_WORDS, max_size=3), allowed=(SaslError,))
def test_scram_client(challenges: list[bytes]) -> None:
    client = ScramClient("ann", "pencil", "abc")
    for challenge in challenges:
        if client.respond(challenge) is None:
            return


@fuzz(text_of("ann", "\u00ad", "\u00aa", "\u2168", "\u0627", "1", "\u0627", " "))
def test_saslprep(text: str) -> None:
    try:
        prepared = saslprep(text)
    except SaslprepError:
        return
    assert saslprep(prepared) == prepared
