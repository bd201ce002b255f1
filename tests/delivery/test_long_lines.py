"""Lines of more than 998 octets: folded or refused, never cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.delivery.content import Content
from posthouse.delivery.long_lines import LINE_OCTETS_MAX, Folder, LongLineCarrier, LongLines
from posthouse.delivery.outcomes import Delivered, Failed, Outcome
from posthouse.delivery.routes import Exchangers, Route
from posthouse.spool.records import Work
from tests.delivery.given import content, work

BY_MX = Route(Exchangers())
SHORT = b"Subject: hi\r\n\r\n" + b"x" * LINE_OCTETS_MAX + b"\r\n"
WORDS = b"Subject: hi\r\n\r\n" + b"word " * 1000 + b"\r\n"
UNBROKEN = b"Subject: hi\r\n\r\n" + b"x" * 5000 + b"\r\nend\r\n"


class Wire:
    """Stands for the carrier that is the last one."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.octets: list[int] = []

    async def deliver(self, route: Route, work: Work, content: Content) -> dict[int, Outcome]:
        del route
        self.sent.append(b"".join([part async for part in content.blocks()]))
        self.octets.append(content.octets)
        return dict.fromkeys(work.indices, Delivered("250 ok"))

    async def close(self) -> None:
        return None


def folded(octets: bytes, size: int = 0) -> tuple[bytes, int]:
    folder = Folder()
    size = size or len(octets) or 1
    parts = [folder.take(octets[at : at + size]) for at in range(0, len(octets), size)]
    return b"".join((*parts, folder.end())), folder.growth


def lines(octets: bytes) -> list[bytes]:
    return octets.split(b"\r\n")


def test_what_is_short_enough_stays_as_it_is() -> None:
    assert folded(SHORT) == (SHORT, 0)
    assert folded(b"") == (b"", 0)
    assert folded(b"no end") == (b"no end", 0)


def test_a_line_of_words_is_broken_between_them() -> None:
    octets, growth = folded(WORDS)
    assert max(map(len, lines(octets))) <= LINE_OCTETS_MAX
    assert octets.replace(b"\r\n word", b" word") == WORDS
    assert growth == len(octets) - len(WORDS)


def test_a_line_without_a_blank_gets_some_and_loses_nothing() -> None:
    octets, _ = folded(UNBROKEN)
    assert max(map(len, lines(octets))) <= LINE_OCTETS_MAX
    assert octets.replace(b"\r\n ", b"") == UNBROKEN


def test_a_long_header_field_stays_one_field() -> None:
    octets, _ = folded(b"References: " + b"<a@b>," * 400 + b"\r\nSubject: hi\r\n\r\nbody\r\n")
    header = octets[: octets.index(b"\r\n\r\n")]
    assert [line[:1] == b" " for line in lines(header)][1:-1] == [True] * (len(lines(header)) - 2)


def test_no_character_is_broken() -> None:
    octets, _ = folded("\N{HIRAGANA LETTER A}".encode() * 2000 + b"\r\n")
    for line in lines(octets):
        line.decode()


PIECES = st.sampled_from([b"a" * 700, b" ", b"\t", b"\r\n", b"b" * 299, b".", b"\xe3\x81\x82" * 50])


@given(st.lists(PIECES, max_size=20).map(b"".join), st.integers(1, 4000))
def test_any_split_gives_the_same_and_only_blanks_and_newlines_come_in(
    octets: bytes, size: int
) -> None:
    whole, growth = folded(octets)
    assert folded(octets, size) == (whole, growth)
    assert len(whole) == len(octets) + growth
    assert all(len(line) <= LINE_OCTETS_MAX for line in lines(whole))
    assert b"".join(whole.split()) == b"".join(octets.split())


@pytest.mark.parametrize(
    "field",
    [
        b"DKIM-Signature: v=1; d=example.net; b=x",
        b"ARC-Message-Signature: i=1; d=example.net; b=x",
        b'Content-type:\r\n Multipart/Signed; micalg=sha-256; boundary="b"',
    ],
    ids=["dkim", "arc", "s/mime"],
)
@pytest.mark.parametrize("octets", [UNBROKEN, UNBROKEN * 100], ids=["small", "large"])
async def test_what_somebody_signed_is_not_folded(field: bytes, octets: bytes) -> None:
    wire, signed = Wire(), field + b"\r\n" + octets
    carrier = LongLineCarrier(wire, LongLines.FOLD)
    await carrier.deliver(BY_MX, work(), content(signed))
    assert wire.sent == [signed]
    carrier.rule = LongLines.REFUSE
    outcomes = await carrier.deliver(BY_MX, work(), content(signed))
    assert isinstance(outcomes[0], Failed)


@pytest.mark.parametrize("octets", [WORDS, b"a: b\r\n\r\n" + UNBROKEN * 100])
async def test_the_rule_decides(octets: bytes) -> None:
    wire = Wire()
    carrier = LongLineCarrier(wire, LongLines.FOLD)
    mail = work()
    await carrier.deliver(BY_MX, mail, content(octets))
    assert wire.sent == [folded(octets)[0]]
    assert wire.octets == [len(wire.sent[0])]
    carrier.rule = LongLines.KEEP
    await carrier.deliver(BY_MX, mail, content(octets))
    assert wire.sent[1] == octets
    carrier.rule = LongLines.REFUSE
    outcome = (await carrier.deliver(BY_MX, mail, content(octets)))[0]
    assert isinstance(outcome, Failed)
    assert outcome.status == "5.6.0"
    await carrier.deliver(BY_MX, mail, content(SHORT))
    assert wire.sent[2] == SHORT
