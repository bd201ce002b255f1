"""The second reading of a TOML text finds every key and value where it stands."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.config.spans import Path, Span, Spans

TEXT = """\
hostname = "mail.example.com"  # ours
a.b."c.d" = 1

[listen.mx]
on = [
    "192.0.2.1:25",  # first
    "[::]:25",
]
[ domains . "b\\u00fccher.example" ]
[[may_relay]]
who = 'network'
[may_relay.inner]
x = { y = [1, {z = true}], "q" = 1979-05-27 07:32:00 }
[[may_relay]]
text = \"\"\"
two
lines\"\"\"
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("hostname",), Span(1, 12, 18)),
        (("a", "b", "c.d"), Span(2, 13, 1)),
        (("listen", "mx", "on"), Span(5, 6, 1)),
        (("listen", "mx", "on", 0), Span(6, 5, 14)),
        (("listen", "mx", "on", 1), Span(7, 5, 9)),
        (("domains", "bücher.example"), Span(9, 1, 35)),
        (("may_relay", 0), Span(10, 1, 13)),
        (("may_relay", 0, "who"), Span(11, 7, 9)),
        (("may_relay", 0, "inner", "x", "y", 1, "z"), Span(13, 20, 4)),
        (("may_relay", 0, "inner", "x", "q"), Span(13, 34, 19)),
        (("may_relay", 1), Span(14, 1, 13)),
        (("may_relay", 1, "text"), Span(15, 8, 3)),
    ],
)
def test_values_are_found(path: Path, place: Span) -> None:
    assert Spans(TEXT).value(path) == place


def test_keys_are_found_and_stand_in_for_what_is_not_there() -> None:
    spans = Spans(TEXT)
    assert spans.key(("listen", "mx", "on")) == Span(5, 1, 2)
    assert spans.key(("a", "b", "c.d")) == Span(2, 5, 5)
    assert spans.value(("listen", "mx", "absent")) == Span(4, 1, 11)
    assert spans.value(("nowhere",)) == Span(1, 1, 1)
    assert spans.line(("nowhere",)) == 0
    assert spans.where(("may_relay", 1), "posthouse.toml") == "posthouse.toml:14"


def test_windows_line_ends_change_nothing() -> None:
    path: Path = ("may_relay", 1)
    assert Spans(TEXT.replace("\n", "\r\n")).value(path) == Spans(TEXT).value(path)


def paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    children: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(value, dict):
        children = iter(value.items())
    elif isinstance(value, list):
        children = iter(enumerate(value))
    for key, child in children:
        yield (*path, key), child
        yield from paths(child, (*path, key))


SCALARS = st.one_of(
    st.integers(-(10**9), 10**9).map(str),
    st.booleans().map(lambda value: str(value).lower()),
    st.text("ab #=[]{},.'é", max_size=6).map(lambda text: f'"{text}"'),
    st.text('ab #=[]{},."\\', max_size=6).map(lambda text: f"'{text}'"),
    st.text('ab"\n#', max_size=5).map(lambda text: '"""' + text.replace('"""', "") + ' """'),
    st.sampled_from(["1979-05-27T07:32:00Z", "1979-05-27 07:32:00", "07:32:00", "1e3", "inf"]),
)
KEYS = st.one_of(st.sampled_from(["a", "b", "c-d", "1"]), st.sampled_from(['"a b"', "'c.d'"]))
LISTS = st.lists(SCALARS, max_size=3).map(lambda items: f"[ {' , '.join(items)} ]")
TABLES = st.tuples(KEYS, SCALARS).map(lambda pair: f"{{ {pair[0]} = {pair[1]} }}")
VALUES = st.one_of(SCALARS, LISTS, TABLES, TABLES.map(lambda table: f"[{table}, # x\n {table},]"))
LINES = st.one_of(
    st.tuples(KEYS, VALUES).map(" = ".join),
    st.tuples(KEYS, KEYS, VALUES).map(lambda three: f"{three[0]} . {three[1]}={three[2]}"),
    KEYS.map(lambda key: f"[{key}]"),
    st.tuples(KEYS, KEYS).map(lambda two: f"[ {two[0]}.{two[1]} ]"),
    KEYS.map(lambda key: f"[[{key}]]"),
    st.just("# comment = [\n"),
)


@settings(max_examples=300)
@given(st.lists(LINES, max_size=6).map("\n".join))
def test_whatever_tomllib_reads_is_found_again(text: str) -> None:
    """Each scalar of a document, cut out of the text by its place, reads as that scalar."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    spans = Spans(text)
    lines = text.split("\n")
    for path, value in paths(document):
        assert spans.line(path) > 0, path
        span = spans.value(path)
        written = lines[span.line - 1][span.column - 1 : span.column - 1 + span.width]
        if not isinstance(value, dict | list) and not written.startswith('"""'):
            assert tomllib.loads(f"value = {written}") == {"value": value}
