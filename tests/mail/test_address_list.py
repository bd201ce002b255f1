"""Address lists, read strictly enough to decide by them."""

from email.headerregistry import Address, Group, HeaderRegistry

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import Mailbox
from posthouse.mail.address_list import mailboxes_in

ANN = Mailbox("ann", "example.com")
BOB = Mailbox("bob", "example.org")


@pytest.mark.parametrize(
    "value",
    [
        "ann@example.com",
        " ann@EXAMPLE.com ",
        "<ann@example.com>",
        "Ann <ann@example.com>",
        "John Q. Public <ann@example.com>",
        '"Public, Ann" <ann@example.com>',
        '"bob@example.org" <ann@example.com>',
        '"a \\"quoted\\" name" <ann@example.com>',
        '"ann"@example.com',
        "ann@example.com (Ann)",
        "(work (really)) Ann <ann@example.com> (at home)",
        "=?utf-8?q?M=C3=BCller=2C_Ann?= <ann@example.com>",
        "=?utf-8?b?5byg5Lyf?= <ann@example.com>",
        "=?no-such-charset?q?x?= <ann@example.com>",
        "=?utf-8?q?ann=40example=2Ecom?= <ann@example.com>",
        "安妮 <ann@example.com>",
        "安妮\uff08会社\uff09<ann@example.com>",
        "Ann:ann@example.com;",
    ],
)
def test_what_everybody_reads_as_ann(value: str) -> None:
    assert mailboxes_in(value.encode()) == (ANN,)


@pytest.mark.parametrize(
    ("value", "mailboxes"),
    [
        ("ann@example.com, Bob <bob@example.org>", (ANN, BOB)),
        ("friends: ann@example.com, bob@example.org;", (ANN, BOB)),
        ("a: ann@example.com;, b: bob@example.org;", (ANN, BOB)),
        ("undisclosed-recipients:;", ()),
        ("nobody: ; (really)", ()),
        ("ann@[192.0.2.1]", (Mailbox("ann", "[192.0.2.1]"),)),
        ("ann@[IPv6:2001:db8::1]", (Mailbox("ann", "[IPv6:2001:db8::1]"),)),
        ("jörg@bücher.example", (Mailbox("jörg", "xn--bcher-kva.example"),)),
        ("jörg@xn--bcher-kva.example", (Mailbox("jörg", "xn--bcher-kva.example"),)),
        ("o'ann%x!y@example.com", (Mailbox("o'ann%x!y", "example.com"),)),
    ],
)
def test_lists_groups_literals_and_international_names(
    value: str, mailboxes: tuple[Mailbox, ...]
) -> None:
    assert mailboxes_in(value.encode()) == mailboxes


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        ",",
        "ann",
        "ann@example.com,",
        ", ann@example.com",
        "ann@example.com,,bob@example.org",
        "ann@example.com bob@example.org",
        "ann@example.com; bob@example.org",
        "ann@example.com <bob@example.org>",
        "<ann@example.com> <bob@example.org>",
        "<ann@example.com> bob@example.org",
        "<<ann@example.com>>",
        "<ann@example.com",
        "ann@example.com>",
        "<>",
        "<bob@example.org:ann@example.com>",
        "<@example.org:ann@example.com>",
        "<@a.example,@b.example:ann@example.com>",
        "ann @example.com",
        "ann@ example.com",
        "< ann@example.com >",
        "ann.@example.com",
        ".ann@example.com",
        "a..nn@example.com",
        "ann@example..com",
        "ann@example.com.",
        "ann@-example.com",
        "ann(bob@example.org)@example.com",
        "ann@example.com(<bob@example.org>)",
        "(bob@example.org) ann@example.com",
        "ann@example.com (open",
        "ann@example.com (" + "(" * 20 + ")" * 20 + ")",
        '"<bob@example.org>" <ann@example.com>',
        '"bob@example.org" "ann"@example.com',
        '"bob@example.org"@example.com',
        '"ann\\@x"@example.com',
        '"open <ann@example.com>',
        "=?utf-8?q?bob=40example.org=3E=2C?= <ann@example.com>",
        "=?utf-8?b?PGJvYkBleGFtcGxlLm9yZz4=?= <ann@example.com>",
        "=?utf-8?q?bob=0D=0ABcc:x?= <ann@example.com>",
        "=?utf-8?q?ann?=@example.com",
        "bob\uff20example.org <ann@example.com>",
        "\ufe64bob@example.org\ufe65 ann@example.com",
        "ann@example\uff0ecom",
        "ann@example\u3002com",
        "ann@\uff45xample.com",
        "ann@exa\u00admple.com",
        "ann\x00@example.com",
        "ann@example.com\r\nBcc: bob@example.org",
        "friends: ann@example.com",
        "friends: ann@example.com, ;",
        "friends: a: ann@example.com;;",
        "friends: ann@example.com; bob@example.org",
        ": ann@example.com;",
        "ann@example.com: bob@example.org;",
        "[list] Ann <ann@example.com>",
        "Ann, Public <ann@example.com>",
        "a" * 65 + "@example.com",
        "ann@" + "x" * 64 + ".com",
        "ann@[example.com]",
        "Ann <ann@example.com" + " " * 70_000 + ">",
        ", ".join(["ann@example.com"] * 1_002),
    ],
)
def test_what_could_be_read_in_two_ways_is_not_read(value: str) -> None:
    assert mailboxes_in(value.encode()) is None


def test_octets_that_are_no_utf8_are_not_read() -> None:
    assert mailboxes_in(b"J\xf6rg <ann@example.com>") is None


@pytest.mark.parametrize("value", [b"g:;, " * 12_000 + b"g:;", b"g:" + b"a@b.example," * 5000])
def test_groups_without_number_are_not_read(value: bytes) -> None:
    assert mailboxes_in(value) is None


@given(st.binary(max_size=200))
def test_any_octets_give_an_answer(value: bytes) -> None:
    mailboxes_in(value)


@given(st.text(alphabet='ab@.,;:<>()"\\[] \t=?', max_size=60))
def test_what_is_read_is_what_the_standard_library_reads(value: str) -> None:
    mailboxes = mailboxes_in(value.encode())
    if mailboxes is not None:
        try:
            header = HeaderRegistry()("from", value)
        except (AttributeError, IndexError):  # it stumbles over names that begin with a dot
            return
        read = [(a.username, a.domain) for a in header.addresses]  # type: ignore[attr-defined]
        assert [(m.local_part, m.domain.lower()) for m in mailboxes] == [
            (user, domain.lower()) for user, domain in read
        ]


names = st.text(st.characters(categories=["L", "N"], codec="ascii"), max_size=12)
addresses = st.builds(
    lambda name, user: Address(name, user, "example.com"),
    st.text("abc ,.@'()é张", max_size=12),
    names.filter(bool),
)


@given(
    st.lists(
        addresses
        | st.builds(Group, names.filter(bool), st.lists(addresses, max_size=2).map(tuple)),
        min_size=1,
        max_size=4,
    )
)
def test_what_the_standard_library_writes_is_read(parts: list[Address | Group]) -> None:
    flat = [a for part in parts for a in (part.addresses if isinstance(part, Group) else [part])]
    value = ", ".join(str(part) for part in parts)
    assert mailboxes_in(value.encode()) == tuple(Mailbox(a.username, a.domain) for a in flat)
