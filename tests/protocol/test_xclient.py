from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.xclient import AttributesError, ToldClient, parse_xclient, parse_xforward


def test_xclient_as_postfix_says_it() -> None:
    told = parse_xclient("NAME=spike.porcupine.org ADDR=168.100.189.2 PORT=4711 PROTO=ESMTP")
    assert told == ToldClient(
        address=ip_address("168.100.189.2"),
        port=4711,
        name="spike.porcupine.org",
        extended=True,
    )


def test_what_is_not_available_is_not_known() -> None:
    told = parse_xclient("NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 HELO=[TEMPUNAVAIL] DESTPORT=587")
    assert told == ToldClient(address=ip_address("2001:db8::7"), destination_port=587)


def test_values_are_xtext() -> None:
    assert parse_xclient("HELO=my+20laptop+2B1").hello == "my laptop+1"
    assert parse_xclient("helo=gr+C3+BCn").hello == "grün"


def test_xforward_has_its_own_attributes() -> None:
    told = parse_xforward("NAME=a.example IDENT=4F2A SOURCE=LOCAL")
    assert told == ToldClient(name="a.example", identity="4F2A", source="LOCAL")
    with pytest.raises(AttributesError):
        parse_xforward("DESTPORT=25")
    with pytest.raises(AttributesError):
        parse_xclient("IDENT=4F2A")


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "ADDR",
        "ADDR=1.2.3",
        "ADDR=192.0.2.7 ADDR=192.0.2.8",
        "PORT=x",
        "PORT=70000",
        "PROTO=LMTP",
        "NAME=a+0D+0Ab",
        "NAME=a;b",
        "HELO=+zz",
        "HELO=+FF",
        "HELO=" + "x" * 300,
        "COLOUR=red",
        "LOGIN=ann",  # who signs in, does so here
    ],
)
def test_what_cannot_be_is_refused(arguments: str) -> None:
    with pytest.raises(AttributesError):
        parse_xclient(arguments)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_xclient, parse_xforward):
        try:
            told = parse(text)
        except AttributesError:
            continue
        assert told.hello.isprintable()
