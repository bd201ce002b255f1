import base64
import quopri
from collections.abc import Iterable
from email import message_from_bytes
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.mime_parts import DEPTH_MAX, PARTS_MAX, Mark, PartReader
from posthouse.mail.reencoding import ConversionError, Fit, plan_for, reencoded

EIGHT, SEVEN = Fit.EIGHT_BIT, Fit.SEVEN_BIT
HEADER = b"From: a@example.com\r\nMIME-Version: 1.0\r\n"
PICTURE = bytes(range(256)) * 3 + b"\r\n.\r\n\n.\n\r.\r--b\r\n"


def converted(message: bytes, fit: Fit, size: int = 7) -> bytes:
    blocks = [message[at : at + size] for at in range(0, len(message), size)]
    plan = plan_for(blocks, fit)
    return message if plan is None else b"".join(reencoded(blocks, plan))


def leaf(body: bytes, encoding: str, kind: str = "application/octet-stream") -> bytes:
    head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + body


def multipart(parts: Iterable[bytes], boundary: str = "b", kind: str = "mixed") -> bytes:
    mark = b"--" + boundary.encode()
    head = f"Content-Type: multipart/{kind}; boundary={boundary}\r\n"
    head += "Content-Transfer-Encoding: binary\r\n\r\n"
    return head.encode() + b"".join(mark + b"\r\n" + one + b"\r\n" for one in parts) + mark + b"--"


def leaves(message: Message) -> list[bytes]:
    """What readers see of each part."""
    found = []
    for part in message.walk():
        if not part.is_multipart():
            octets = part.get_payload(decode=True)
            assert isinstance(octets, bytes)
            found.append(octets)
    return found


def is_clean(octets: bytes, fit: Fit) -> bool:
    pairs = octets.count(b"\r\n")
    lines = octets.count(b"\n") == pairs == octets.count(b"\r")
    return lines and b"\0" not in octets and (fit is EIGHT or octets.isascii())


def test_what_fits_is_left_alone() -> None:
    message = HEADER + leaf("grüße\r\n".encode(), "8bit", "text/plain")
    assert plan_for([message], EIGHT) is None
    assert plan_for([HEADER + b"\r\nhello\r\n"], SEVEN) is None


def test_a_binary_message_becomes_base64() -> None:
    result = converted(HEADER + leaf(PICTURE, "binary", "image/png"), EIGHT)
    assert b"Content-Transfer-Encoding: base64\r\n\r\n" in result
    assert max(len(line) for line in result.split(b"\r\n")) <= 76
    assert base64.b64decode(result.split(b"\r\n\r\n")[1]) == PICTURE
    assert result.endswith(b"\r\n")


def test_text_stays_readable() -> None:
    text = ("Guten Tag, ich grüße Sie.  \r\n.\r\n" * 3 + "x" * 2000).encode()
    result = converted(HEADER + leaf(text, "8bit", "text/plain; charset=utf-8"), SEVEN)
    assert b"ich gr=C3=BC=C3=9Fe Sie. =20\r\n" in result
    assert max(len(line) for line in result.split(b"\r\n")) <= 76
    assert quopri.decodestring(result.split(b"\r\n\r\n", 1)[1]).removesuffix(b"\r\n") == text


def test_text_that_is_hardly_ascii_becomes_base64() -> None:
    text = "邮件服务器\r\n".encode()
    result = converted(HEADER + leaf(text, "8bit", "text/plain; charset=utf-8"), SEVEN)
    assert base64.b64decode(result.split(b"\r\n\r\n")[1]) == text


def test_bare_newlines_of_binary_text_stay_what_they_are() -> None:
    text = b"one\ntwo\rthree\r\nfour"
    result = converted(HEADER + leaf(text, "binary", "text/plain"), EIGHT)
    assert b"one=0Atwo=0Dthree\r\nfour" in result


def test_binary_that_is_text_after_all_only_gets_another_label() -> None:
    message = HEADER + leaf("naïve\r\n".encode(), "binary", "text/plain")
    assert converted(message, EIGHT) == message.replace(b": binary", b": 8bit")
    plain = HEADER + leaf(b"naive\r\n", "binary", "text/plain")
    assert converted(plain, EIGHT) == plain.replace(b": binary", b": 7bit")


def test_parts_are_converted_one_by_one_and_what_holds_them_is_not_encoded() -> None:
    inner = multipart([leaf(PICTURE, "binary"), leaf(b"ascii", "7bit", "text/plain")], "in")
    mail = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n" + HEADER
    message = HEADER + multipart(
        [leaf(b"=20", "quoted-printable", "text/plain"), mail + leaf(b"\0", "binary"), inner]
    )
    for fit in (EIGHT, SEVEN):
        result = converted(message, fit)
        assert is_clean(result, fit)
        assert leaves(message_from_bytes(result)) == [b" ", b"\0", PICTURE, b"ascii"]
        holders = [it for it in message_from_bytes(result).walk() if it.is_multipart()]
        assert {it["Content-Transfer-Encoding"] for it in holders if "Content-Type" in it} == {
            fit.value
        }


def test_a_boundary_inside_a_longer_line_ends_nothing() -> None:
    body = b"\r\n--bb\r\n--b x\r\n--b-\r\n \0--b\r\n"
    result = converted(HEADER + multipart([leaf(body, "binary"), leaf(b"\0", "binary")]), EIGHT)
    assert leaves(message_from_bytes(result)) == [body, b"\0"]


def test_the_outer_boundary_ends_what_was_left_open() -> None:
    inner = b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n" + leaf(b"\0", "binary")
    message = HEADER + multipart([inner, leaf(b"\1\n", "binary")])
    assert leaves(message_from_bytes(converted(message, EIGHT))) == [b"\0", b"\1\n"]


def test_a_header_cut_off_by_the_next_part_ends_there() -> None:
    message = HEADER + multipart([b"Content-Type: text/plain", leaf(b"\0", "binary")])
    result = converted(message, EIGHT)
    assert result.startswith(message.split(b"--b\r\n")[0].replace(b": binary", b": 8bit"))
    assert result.endswith(b"base64\r\n\r\nAA==\r\n--b--")


@pytest.mark.parametrize("fit", [EIGHT, SEVEN])
def test_a_signed_part_is_never_changed(fit: Fit) -> None:
    signed = multipart(
        [leaf(b"hello", "7bit", "text/plain"), leaf(b"sig", "7bit")], "s", 'signed; protocol="x/y"'
    )
    message = HEADER + multipart([signed, leaf(PICTURE, "binary")])
    assert signed in converted(message, fit)
    spoilt = message.replace(b"hello", b"h\0llo")
    with pytest.raises(ConversionError, match="multipart/signed"):
        plan_for([spoilt], fit)


def test_eight_bit_text_that_is_signed_cannot_be_made_ascii() -> None:
    message = HEADER + multipart([leaf(b"\xe9", "8bit", "text/plain")], "s", "signed")
    assert plan_for([message.replace(b": binary", b": 8bit")], EIGHT) is None
    with pytest.raises(ConversionError):
        plan_for([message], SEVEN)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Transfer-Encoding: x-own\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: base64\r\n",
        b"Content-Type: message/partial; id=1\r\n",
        b"Content-Type: multipart/mixed\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n",
        b"this is no field\r\n",
    ],
)
def test_what_is_not_understood_is_left_alone_or_refused(head: bytes) -> None:
    assert plan_for([HEADER + head + b"\r\n--b\r\n\r\nplain\r\n--b--\r\n"], SEVEN) is None
    with pytest.raises(ConversionError):
        plan_for([HEADER + head + b"\r\n--b\r\n\r\n\xff\r\n--b--\r\n"], SEVEN)


def test_a_header_with_a_bare_newline_or_a_nul_is_refused() -> None:
    for bad in (b"X: a\nBcc: b\r\n", b"X: \0\r\n", b"X: a\rb\r\n"):
        with pytest.raises(ConversionError):
            plan_for([HEADER + bad + b"\r\n"], EIGHT)


def test_old_mail_in_an_unknown_character_set_is_called_so() -> None:
    result = converted(b"From: a@example.com\r\n\r\nGr\xfc\xdfe aus K\xf6ln am Rhein\r\n", SEVEN)
    head, _, body = result.partition(b"\r\n\r\n")
    assert b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n" in head
    assert quopri.decodestring(body) == b"Gr\xfc\xdfe aus K\xf6ln am Rhein\r\n"


def test_words_for_old_readers_are_left_out_where_they_do_not_fit() -> None:
    message = HEADER + multipart([leaf(b"x", "7bit")]) + b"\r\nepilogue\xff\r\n"
    message = message.replace(b"\r\n\r\n--b\r\n", b"\r\n\r\npr\xe9ambule\r\n--b\r\n")
    result = converted(message, SEVEN)
    assert b"ambule" not in result
    assert b"epilogue" not in result
    assert leaves(message_from_bytes(result)) == [b"x"]


def test_parts_without_number_or_depth_are_refused() -> None:
    with pytest.raises(ConversionError, match="times"):
        plan_for([b"Content-Type: message/rfc822\r\n\r\n" * (DEPTH_MAX + 1)], EIGHT)
    with pytest.raises(ConversionError, match="parts"):
        plan_for([HEADER + multipart([b"\r\n"] * (PARTS_MAX + 1))], EIGHT)
    with pytest.raises(ConversionError, match="64 KiB"):
        plan_for([b"X: y\r\n" * 20_000], EIGHT)


TEXT = st.binary(max_size=60) | st.lists(
    st.sampled_from(
        [b"\r\n", b"--b", b"--in", b"-", b" ", b"\r", b"\n", b"\0", b"\xe4", b"x", b"."]
    )
).map(b"".join)
LEAF = st.builds(
    lambda body, kind: leaf(body, "binary", kind),
    TEXT.filter(lambda it: b"--b" not in it and b"--in" not in it),
    st.sampled_from(["text/plain", "application/octet-stream", "message/global"]),
)
INNER = st.lists(LEAF, min_size=1, max_size=3).map(lambda parts: multipart(parts, "in"))
MESSAGE = st.lists(LEAF | INNER, min_size=1, max_size=4).map(
    lambda parts: HEADER + multipart(parts)
)


@given(MESSAGE, st.sampled_from([EIGHT, SEVEN]), st.integers(1, 50))
def test_readers_see_the_same_and_the_way_carries_it(message: bytes, fit: Fit, size: int) -> None:
    result = converted(message, fit, size)
    assert is_clean(result, fit)
    assert result == converted(message, fit, len(message))
    assert plan_for([result], fit) is None
    wanted = [it.partition(b"\r\n\r\n")[2] for it in _leaves_of(message)]
    assert [_decoded(it) for it in _leaves_of(result)] == wanted


@given(TEXT.map(lambda it: HEADER + b"Content-Type: multipart/x; boundary=b\r\n\r\n" + it))
def test_the_pieces_are_the_message(octets: bytes) -> None:
    for size in (1, 3, len(octets)):
        reader = PartReader()
        blocks = [octets[at : at + size] for at in range(0, len(octets), size)]
        pieces = [piece for block in blocks for piece in reader.take(block)] + reader.end()
        assert b"".join(piece.octets for piece in pieces) == octets
        assert all(piece.octets for piece in pieces if isinstance(piece, Mark))


def _leaves_of(message: bytes) -> list[bytes]:
    """The leaves of a message made by `MESSAGE`, cut without a parser."""
    found = []
    for part in message.removesuffix(b"--b--").split(b"--b\r\n")[1:]:
        if b"boundary=in" in part:
            inner = part.partition(b"--in--")[0]
            found += [one.removesuffix(b"\r\n") for one in inner.split(b"--in\r\n")[1:]]
        else:
            found.append(part.removesuffix(b"\r\n"))
    return found


def _decoded(part: bytes) -> bytes:
    head, _, body = part.partition(b"\r\n\r\n")
    if b"base64" in head:
        return base64.b64decode(body)
    return quopri.decodestring(body) if b"quoted-printable" in head else body
