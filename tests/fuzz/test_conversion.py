"""Any message is converted or refused: what comes out fits its way and holds what was there."""

from hypothesis import strategies as st

from posthouse.mail.mime_parts import PartReader
from posthouse.mail.reencoding import ConversionError, Fit, plan_for, reencoded
from tests.fuzz.fuzzing import damaged, fuzz, octets_of

MESSAGES = st.one_of(
    octets_of(
        b"\r\n",
        b"\r\n\r\n",
        b"--b",
        b"--b\r\n",
        b"--b--\r\n",
        b"--in\r\n",
        b"--in--",
        b"MIME-Version: 1.0\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b'Content-Type: multipart/digest; boundary="in"\r\n',
        b"Content-Type: multipart/signed; boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: message/partial\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\n",
        b"Content-Type: ;;=\r\n",
        b"Content-Transfer-Encoding: binary\r\n",
        b"Content-Transfer-Encoding: 8bit\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: x\r\n",
        b"\0",
        b"\n",
        b"\r",
        b"\r\n.\r\n",
        b"\xc3\xa4",
        b"\xff",
        b" \t",
        b"x" * 1200,
        at_most=24,
    ),
    damaged(
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n"
        b"Content-Transfer-Encoding: binary\r\n\r\n\0\n\r\xff\r\n--b\r\n"
        b"Content-Type: message/rfc822\r\n\r\n"
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        b"\xc3\xa4\r\n--b--\r\nepilogue",
    ),
)


def fits(octets: bytes, fit: Fit) -> bool:
    """Whether the way carries it; headers are left as they were."""
    pairs = octets.count(b"\r\n")
    return (
        octets.count(b"\n") == pairs == octets.count(b"\r")
        and b"\0" not in octets
        and (fit is Fit.EIGHT_BIT or plan_for([octets], fit) is None)
    )


@fuzz(st.tuples(MESSAGES, st.sampled_from(Fit)), allowed=(ConversionError,))
def test_conversion(given: tuple[bytes, Fit]) -> None:
    message, fit = given
    plan = plan_for([message], fit)
    result = message if plan is None else b"".join(reencoded([message], plan))
    assert fits(result, fit)
    single = [bytes([octet]) for octet in message]
    assert plan_for(single, fit) == plan
    if plan is not None:
        assert b"".join(reencoded(single, plan)) == result


@fuzz(MESSAGES, allowed=())
def test_the_pieces_of_a_message_are_the_message(message: bytes) -> None:
    reader = PartReader()
    pieces = [*reader.take(message), *reader.end()]
    assert b"".join(piece.octets for piece in pieces) == message
