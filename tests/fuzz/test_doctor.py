"""The doctor is shown anything: it always has an answer, in every language, and keeps no secret."""

from hypothesis import strategies as st

from posthouse.doctor.advice import advise
from posthouse.doctor.diagnosis import diagnose
from posthouse.doctor.reading import CHARACTERS_MAX, read
from posthouse.doctor.redaction import redact
from posthouse.doctor.settings import compare, outgoing_for
from posthouse.doctor.translation import LANGUAGES
from tests.fuzz.fuzzing import damaged, fuzz, octets_of

RIGHT = outgoing_for("ann@proseware.com", "mail.proseware.com", {"submissions": 465})
PASTES = st.one_of(
    octets_of(
        b"550 5.7.1 Relay access denied", b"535 5.7.8 ", b"authentication failed", b"\n",
        b"\r\n", b"Server error: ", b"Final-Recipient: rfc822; a@b\n",
        b"<bob@a.b>", b"Content-Type: text/html\n\n",
        b"<html><body>", b"</p>", b"=\r\n", b"=C3=A4", b"&#8364;", b"\x1b[31m", b"\xff\xfe", b"\0",
        "无法中继".encode(), "无法".encode("gb18030"), b"smtp.example.com", b" port: 25 ", b"421-",
        b"From: a@b\nSubject: =?utf-8?q?=C3?=\n\n", b"A" * 76 + b"\n", b"0x800CCC79",
        b"password: hunter2\n",
        at_most=25,
    ),
    st.binary(max_size=200),
    damaged(b"Content-Type: multipart/report; boundary=x\n\n--x\nContent-Transfer-Encoding: base64"
            b"\nContent-Type: text/plain; charset=nonsense\n\nNTUwIDUuNy4xIA==\n--x--\n"),
)  # fmt: skip


@fuzz(st.tuples(PASTES, st.sampled_from(sorted(LANGUAGES))))
def test_doctor(given: tuple[bytes, str]) -> None:
    octets, language = given
    assert len(read(octets).text) <= 2 * CHARACTERS_MAX
    diagnosis = diagnose(octets)
    assert diagnosis.findings
    answer = advise(diagnosis, language)
    assert answer.language == language
    text = octets.decode("utf-8", "replace")
    redact(text)
    compare(text, RIGHT)
