"""The configuration file: whatever it holds, diagnostics in our words and nothing else."""

from pathlib import Path

from hypothesis import strategies as st

from posthouse.config.diagnostic import ConfigurationError
from tests.config.test_any_text import LINES, put_through
from tests.fuzz.fuzzing import damaged, fuzz, text_of

EXAMPLES = [path.read_bytes() for path in sorted(Path("examples").glob("*.toml"))]
TEXTS = st.one_of(
    damaged(*EXAMPLES).map(lambda octets: octets.decode("utf-8", "replace")),
    st.lists(LINES, max_size=15).map("\n".join),
    text_of("[", "]", "[[", "]]", "=", '"', '"""', "'", "#", "\n", "\\u", "{", "}", ",", ".",
            "domains", "may_relay", "who", "listen", "2026-01-01", "0x", "1e400", "inf", "\r",
            "\x1b"),
)  # fmt: skip


@fuzz(TEXTS, allowed=(ConfigurationError,))
def test_configuration(text: str) -> None:
    put_through(text)
