"""Spools of several workers: one server, which stops promising as one."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from posthouse.accounts.notices import Board, open_board
from posthouse.server.crew_spool import CrewSpool
from posthouse.spool.records import StorageError
from tests.spool.ground import Clock, accept, envelope, offer

BROKEN = StorageError("broken", "the disk is dying: restart")


class Crew:
    """Two workers' boards and spools."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.handle = open_board()
        stack.callback(os.close, self.handle)
        self.boards = [Board(self.handle, "this run", origin) for origin in (1, 2)]
        self.spools = []
        for place, board in enumerate(self.boards):
            path = directory / str(place)
            path.mkdir()
            spool = CrewSpool(path, now=Clock(), place=place, board=board)
            stack.callback(spool.close)
            self.spools.append(spool)

    def hear(self) -> None:
        for board in self.boards:
            board.pull()


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    with ExitStack() as stack:
        yield Crew(tmp_path, stack)


def test_after_a_failure_at_one_none_promises_more(crew: Crew) -> None:
    one, other = crew.spools
    accept(other, envelope("x@example.com"))
    one.fail(BROKEN)
    crew.hear()
    for spool in crew.spools:
        assert "restart" in str(spool.trouble)
        _, answer = offer(spool, envelope("x@example.com"))
        error = answer.wait()
        assert error is not None
        assert error.kind == "broken"


def test_a_failure_is_told_once(crew: Crew) -> None:
    crew.spools[0].fail(BROKEN)
    crew.hear()
    size = os.fstat(crew.handle).st_size
    for spool in crew.spools:
        offer(spool, envelope("x@example.com"))[1].wait()
        spool.fail(BROKEN)
    assert os.fstat(crew.handle).st_size == size


def third(crew: Crew, tmp_path: Path) -> CrewSpool:
    (tmp_path / "third").mkdir()
    board = Board(crew.handle, "this run", 3)
    crew.boards.append(board)
    return CrewSpool(tmp_path / "third", now=Clock(), place=2, board=board)


def test_one_that_begins_again_hears_of_it_too(crew: Crew, tmp_path: Path) -> None:
    crew.spools[0].fail(BROKEN)
    spool = third(crew, tmp_path)
    crew.hear()
    assert spool.trouble is not None
    spool.close()


def test_one_that_ends_is_no_failure(crew: Crew, tmp_path: Path) -> None:
    spool = third(crew, tmp_path)
    spool.close()
    assert offer(spool, envelope("x@example.com"))[1].wait() is not None
    crew.hear()
    accept(crew.spools[0], envelope("x@example.com"))
