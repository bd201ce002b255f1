"""Feed a parser with as many inputs as fit in a bounded time; only listed failures are allowed.

``make test`` gives each target two seconds and always the same inputs, ``make fuzz`` a minute and
new ones: POSTHOUSE_FUZZ_SECONDS and POSTHOUSE_FUZZ_SEED.
"""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

SECONDS = float(os.environ.get("POSTHOUSE_FUZZ_SECONDS", "2"))
SEED = int(os.environ.get("POSTHOUSE_FUZZ_SEED", "0"))
INPUTS_AT_ONCE = 60  # small, so that the time is kept without ever cutting an input short

_SETTINGS = settings(
    max_examples=INPUTS_AT_ONCE,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
Input = TypeVar("Input")
Target = Callable[[Input], None]


def fuzz(
    inputs: st.SearchStrategy[Input], *, allowed: tuple[type[Exception], ...] = ()
) -> Callable[[Target[Input]], Callable[[], None]]:
    """Make a test of a target; `allowed` are the failures that its parser documents."""

    def decorate(target: Target[Input]) -> Callable[[], None]:
        count = itertools.count()

        def one(value: Input) -> None:
            next(count)
            with contextlib.suppress(*allowed):
                target(value)

        def test() -> None:
            end = time.monotonic() + SECONDS
            for number in itertools.count(SEED):
                seed(number)(_SETTINGS(given(inputs)(one)))()
                if time.monotonic() >= end:
                    break
            print(f"\n{target.__name__}: {next(count)} inputs, none of them a bug")

        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(test, name, getattr(target, name))
        return pytest.mark.slow(test)

    return decorate


def octets_of(*words: bytes, at_most: int = 20) -> st.SearchStrategy[bytes]:
    """Words of a language in any order, with arbitrary octets between."""
    some = st.one_of(st.sampled_from(words), st.sampled_from(words), st.binary(max_size=3))
    return st.lists(some, max_size=at_most).map(b"".join)


def text_of(*words: str, at_most: int = 20) -> st.SearchStrategy[str]:
    """The same in text; anything that Python can hold, lone surrogates included."""
    some = st.one_of(st.sampled_from(words), st.sampled_from(words), st.text(max_size=3))
    return st.lists(some, max_size=at_most).map("".join)


def damaged(*wholes: bytes) -> st.SearchStrategy[bytes]:
    """Right inputs with a few octets changed, taken out or put in."""
    edit = st.tuples(st.integers(0, 4096), st.integers(0, 3), st.binary(min_size=1, max_size=3))
    return st.builds(_with_edits, st.sampled_from(wholes), st.lists(edit, max_size=6))


def _with_edits(whole: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, octets in edits:
        at = place % (len(whole) + 1)
        whole = whole[:at] + octets + whole[at + length :]
    return whole


def pieces(octets: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut octets as TCP might: into pieces of these sizes, and what is left."""
    at = 0
    for size in sizes:
        yield octets[at : at + size]
        at += size
    yield octets[at:]


CUTS = st.lists(st.integers(0, 40), max_size=12)
