from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.reply import Reply
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import MailReceived, RecipientReceived
from posthouse.protocol.smtp.offer import Offer
from posthouse.protocol.smtp.parameters import CommandError
from posthouse.protocol.smtp.parsing import (
    COMMANDS,
    parse_chunk,
    parse_mail,
    parse_recipient,
    text_of,
)

OFFER = Offer("mail.example", 1000, tls=True, binarymime=True, requiretls=True)
PLAIN_OFFER = Offer("mail.example", 0, dsn=False, smtputf8=False, chunking=False, binarymime=True)


@pytest.mark.parametrize(
    "argument",
    [
        "FROM:<ann@example.com>",
        "from:<ann@example.com>",
        "FROM: <ann@example.com>",
        "FROM:   <ann@EXAMPLE.com>",
        "FROM:<@relay.example:ann@example.com>",
    ],
)
def test_a_path_is_found_however_it_is_spaced(argument: str) -> None:
    assert str(parse_mail(argument, OFFER).reverse_path) == "<ann@example.com>"


@pytest.mark.parametrize(
    "parameter",
    [
        "SIZE=",
        "SIZE=-1",
        "SIZE=1.5",
        "SIZE=" + "1" * 21,
        "SIZE=\u0663",
        "SIZE",
        "BODY=9BIT",
        "BODY",
        "RET=ALL",
        "ENVID=",
        "ENVID=" + "x" * 101,
        "ENVID=a+b",
        "ENVID=a=b",
        "AUTH=",
        "AUTH=a+0Db",
        "AUTH=a+0",
        "SMTPUTF8=1",
        "REQUIRETLS=yes",
    ],
)
def test_a_bad_value_is_refused(parameter: str) -> None:
    with pytest.raises(CommandError) as refused:
        parse_mail(f"FROM:<ann@example.com> {parameter}", OFFER)
    assert refused.value.reply == replies.BAD_PARAMETER


@pytest.mark.parametrize(
    ("parameter", "code"),
    [
        ("RET=FULL", 555),
        ("ENVID=x", 555),
        ("SMTPUTF8", 555),
        ("REQUIRETLS", 555),
        ("BODY=BINARYMIME", 501),
        ("NOTIFY=NEVER", 555),
        ("=", 555),
    ],
)
def test_what_is_not_offered_is_not_known(parameter: str, code: int) -> None:
    with pytest.raises(CommandError) as refused:
        parse_mail(f"FROM:<ann@example.com> {parameter}", PLAIN_OFFER)
    assert refused.value.reply.code == code


@pytest.mark.parametrize(
    ("parameter", "code"),
    [
        ("NOTIFY=", 501),
        ("NOTIFY=ALWAYS", 501),
        ("NOTIFY=SUCCESS,NEVER", 501),
        ("ORCPT=bob@example.org", 501),
        ("ORCPT=rfc822;", 501),
        ("ORCPT=rfc822;bob+ZZ@example.org", 501),
        ("ORCPT=rfc822;bob+2b@example.org", 501),
        ("ORCPT=utf-8;bob+@example.org", 501),
        ("ORCPT=rfc822;" + "x" * 500, 501),
        ("ORCPT=rfc822;a ORCPT=rfc822;b", 501),
        ("RET=FULL", 555),
    ],
)
def test_bad_parameters_of_a_recipient_are_refused(parameter: str, code: int) -> None:
    with pytest.raises(CommandError) as refused:
        parse_recipient(f"TO:<bob@example.org> {parameter}", OFFER)
    assert refused.value.reply.code == code


def test_dsn_of_a_recipient_must_be_offered() -> None:
    with pytest.raises(CommandError) as refused:
        parse_recipient("TO:<bob@example.org> NOTIFY=NEVER", PLAIN_OFFER)
    assert refused.value.reply == replies.UNKNOWN_PARAMETER


def test_a_bracket_inside_quotes_does_not_end_the_path() -> None:
    event = parse_recipient('TO:<"a>b"@example.org> NOTIFY=NEVER', OFFER)
    assert event.forward_path.local_part == "a>b"


def test_a_non_ascii_sender_needs_smtputf8() -> None:
    for ending in ("", " SIZE=1"):
        with pytest.raises(CommandError) as refused:
            parse_mail(f"FROM:<änn@example.com>{ending}", OFFER)
        assert refused.value.reply == replies.NEEDS_SMTPUTF8
    assert parse_mail("FROM:<änn@bücher.example> SMTPUTF8", OFFER).smtputf8


@pytest.mark.parametrize("argument", ["", "x", "-1", "1 FIRST", "1" * 21, "1LAST", "\u0663"])
def test_a_chunk_has_a_size_and_may_be_the_last(argument: str) -> None:
    with pytest.raises(CommandError) as refused:
        parse_chunk(argument)
    assert refused.value.reply == replies.CHUNK_SYNTAX
    assert parse_chunk("12 last").last
    assert not parse_chunk("12").last


def test_bdat_is_parsed_by_the_core_only() -> None:
    with pytest.raises(CommandError):
        COMMANDS["BDAT"].parse("1", OFFER)


def refusal_of(parse: Callable[[], object]) -> Reply | None:
    try:
        parse()
    except CommandError as error:
        return error.reply
    return None


@given(st.sampled_from(sorted(COMMANDS)), st.text(max_size=200))
def test_any_argument_gives_an_event_or_a_refusal(verb: str, argument: str) -> None:
    refusal = refusal_of(lambda: COMMANDS[verb].parse(argument, OFFER))
    assert refusal is None or 500 <= refusal.code <= 555
    assert refusal is None or refusal.encode()


@given(st.binary(max_size=100))
def test_any_line_is_text_or_refused(line: bytes) -> None:
    refusal = refusal_of(lambda: text_of(line))
    assert refusal in {None, replies.CONTROL_CHARACTER, replies.NOT_UTF8}
    if b"\r" in line or b"\n" in line.rstrip(b" \t"):
        assert refusal is not None


LETTERS = st.text("abcXYZ-_.+=!#%&'/ \"\\<>@:;()[]ü\x7f", max_size=30)


@given(LETTERS, LETTERS)
def test_a_path_that_is_taken_can_be_said_again(local_part: str, domain: str) -> None:
    """No header or command can be broken by an address that was once accepted."""
    for event in _events_of(f"<{local_part}@{domain}>"):
        match event:
            case MailReceived(reverse_path=path):
                assert parse_mail(f"FROM:{path} SMTPUTF8", OFFER).reverse_path == path
            case RecipientReceived(forward_path=mailbox):
                assert parse_recipient(f"TO:<{mailbox}>", OFFER).forward_path == mailbox


def _events_of(path: str) -> list[MailReceived | RecipientReceived]:
    events: list[MailReceived | RecipientReceived] = []
    try:
        events.append(parse_mail(f"FROM:{path} SMTPUTF8", OFFER))
        events.append(parse_recipient(f"TO:{path}", OFFER))
    except CommandError:
        pass
    return events
