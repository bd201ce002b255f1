"""Whatever stands in the file: a configuration or diagnostics, never another exception."""

import tomllib
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.config.anatomy import SECTIONS, keys_of
from posthouse.config.catalogue import EXPLANATIONS
from posthouse.config.check import check
from posthouse.config.compile import compile_rules
from posthouse.config.diagnostic import ConfigurationError, Diagnostic, render
from posthouse.config.load import decode, load

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def findings(text: str) -> list[Diagnostic]:
    try:
        loaded = load(text)
    except ConfigurationError as problem:
        return list(problem.diagnostics)
    compile_rules(loaded.configuration, loaded.spans)
    return check(loaded.configuration, loaded.spans, NOW)


def put_through(text: str) -> None:
    found = findings(text)
    shown = render(found, text, "posthouse.toml")
    assert "\x1b" not in shown
    assert shown.replace("\n", "").isprintable()
    for each in found:
        assert each.code in EXPLANATIONS
        assert each.code != "C099", each


@given(st.text())
def test_any_text(text: str) -> None:
    put_through(text)


@given(st.text('[]{}=",.\'#\n abc"\\0123\r\x1b', max_size=60))
def test_any_text_that_looks_like_toml(text: str) -> None:
    put_through(text)


@given(st.binary())
def test_any_octets(octets: bytes) -> None:
    try:
        text = decode(octets)
    except ConfigurationError as problem:
        text = problem.diagnostics[0].message
    put_through(text)


HEADINGS = [name.partition(" ")[0].replace("NAME", "n") for name in SECTIONS if name]
KEYS = sorted({key for section in SECTIONS.values() for key in keys_of(section)})
WORDS = ["signed-in", "pop-window", "network", "host-name", "smtp", "pop3", "mx", "*", "@a.b", "",
         "a@b.c", "0.0.0.0/1", "10.0.0.0/8", "::/1", "1.2.3.4:25", "5 min", "9 MB", "1 per day",
         "{case}", "refuse", "anything", "\u202e", "https://a/{case}", "smtp://a"]  # fmt: skip
PLAIN = ["1", "-1", "0.5", "nan", "true", "2026-11-25", "2026-11-25T10:00:00", "0001-01-01",
         "9999-12-31T23:59:59Z", "07:00:00", "{}", "[]"]  # fmt: skip
SCALARS = st.one_of(
    st.sampled_from(WORDS).map(lambda word: f'"{word}"'),
    st.sampled_from(PLAIN),
    st.sampled_from(KEYS).map(lambda key: f'{{ {key} = "x" }}'),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3).map(lambda many: f"[{', '.join(many)}]"))
LINES = st.one_of(
    st.sampled_from(HEADINGS).map(lambda heading: f"[{heading}]"),
    st.sampled_from(HEADINGS).map(lambda heading: f"[[{heading}]]"),
    st.tuples(st.sampled_from(KEYS), VALUES).map(" = ".join),
)


@settings(max_examples=400)
@given(st.lists(LINES, max_size=12).map("\n".join))
def test_any_mixture_of_right_keys_and_wrong_values(text: str) -> None:
    put_through(text)
    put_through('hostname = "mail.example.com"\ndomains."example.com" = {}\n' + text)


DOORS = st.fixed_dictionaries(
    {"who": st.sampled_from(["signed-in", "pop-window", "network", "host-name", "everybody"])},
    optional={
        "networks": st.lists(st.sampled_from(WORDS), max_size=2),
        "hosts": st.lists(st.sampled_from(WORDS), max_size=2),
        "until": st.sampled_from([datetime(2026, 11, 25, tzinfo=UTC), NOW, "2026"]),
        "sends_as": st.lists(st.sampled_from(WORDS), max_size=2),
        "listeners": st.lists(st.sampled_from(["mx", "pop3", "no"]), max_size=2),
    },
)


@given(st.lists(DOORS, max_size=4))
def test_any_set_of_doors(doors: list[dict[str, object]]) -> None:
    lines = ['hostname = "mail.example.com"']
    for door in doors:
        lines.append("[[may_relay]]")
        lines += [f"{key} = {written(value)}" for key, value in door.items()]
    text = "\n".join(lines)
    tomllib.loads(text)
    put_through(text)


def written(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(written(each) for each in value)}]"
    return value.isoformat() if isinstance(value, datetime) else f'"{value}"'


def test_nested_beyond_reason_is_one_clear_error() -> None:
    put_through("a = " + "[" * 5000)
    put_through("a = " + "[" * 400 + "]" * 400)
    put_through("a = " + "9" * 10_000)
