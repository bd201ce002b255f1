import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.mailbox import listing as module
from posthouse.mailbox import maildir
from posthouse.mailbox.listing import Listings


def later() -> int:
    """A clock that is ahead: whatever is in a directory has been there for a while."""
    return time.time_ns() + 60_000_000_000


def deliver(directory: Path) -> str:
    name = maildir.deliver(directory, [b"x\r\n"], id="t")
    time.sleep(0.02)  # the clock of the file system is coarse
    return name


def test_what_did_not_change_is_not_listed_again(tmp_path: Path) -> None:
    deliver(tmp_path)
    listings = Listings(clock=later)
    assert tmp_path not in listings
    listing = listings.read(tmp_path)
    assert listings.unchanged(tmp_path) is listing


def arrives(directory: Path) -> None:
    deliver(directory)


def is_looked_at(directory: Path) -> None:
    for path in (directory / "new").iterdir():
        path.rename(directory / "cur" / f"{path.name}:2,")


def gets_a_flag(directory: Path) -> None:
    for path in (directory / "cur").iterdir():
        path.rename(f"{path}S")


def is_removed(directory: Path) -> None:
    for path in (directory / "new").iterdir():
        path.unlink()


def is_put_in_the_place_of_another(directory: Path) -> None:
    (directory / "new").rename(directory / "old")
    (directory / "new").mkdir()


def loses_its_directory(directory: Path) -> None:
    (directory / "cur").rename(directory / "old")


@pytest.mark.parametrize(
    "change",
    [
        arrives,
        is_looked_at,
        gets_a_flag,
        is_removed,
        is_put_in_the_place_of_another,
        loses_its_directory,
    ],
)
def test_any_change_is_noticed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    maildir.create(tmp_path)
    (tmp_path / "cur" / "1.a.host,S=1,W=2:2,").touch()
    deliver(tmp_path)
    listings = Listings(clock=later)
    listings.read(tmp_path)
    change(tmp_path)
    assert listings.unchanged(tmp_path) is None


def test_what_changed_a_moment_ago_may_change_unnoticed_and_is_not_remembered(
    tmp_path: Path,
) -> None:
    deliver(tmp_path)
    listings = Listings()
    listings.read(tmp_path)
    assert tmp_path not in listings


@pytest.mark.parametrize(
    ("fraction", "wait", "is_remembered"),
    [(0, 1.9, False), (0, 2.1, True), (0.004, 0.09, False), (0.004, 0.2, True)],
)
def test_how_long_a_change_may_hide_another_depends_on_the_clock_of_the_file_system(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fraction: float,
    wait: float,
    is_remembered: bool,
) -> None:
    changed = 1_800_000_000_000_000_000 + int(fraction * 1e9)
    monkeypatch.setattr(module, "_marks", lambda _: [(1, 1, changed), (1, 2, changed)])
    listings = Listings(clock=lambda: changed + int(wait * 1e9))
    listings.read(tmp_path)
    assert (tmp_path in listings) is is_remembered


def test_a_change_dated_in_the_future_is_not_trusted(tmp_path: Path) -> None:
    deliver(tmp_path)
    listings = Listings(clock=lambda: time.time_ns() - 3_600_000_000_000)
    listings.read(tmp_path)
    assert tmp_path not in listings


def test_a_message_that_may_still_be_growing_is_looked_at_each_time(tmp_path: Path) -> None:
    maildir.create(tmp_path)
    path = tmp_path / "new" / "1.a.host"
    path.write_bytes(b"x\n")
    listings = Listings(clock=later)
    assert listings.read(tmp_path).octets == 3
    assert listings.unchanged(tmp_path) is not None
    os.utime(path, (later() / 1e9, later() / 1e9))
    assert listings.read(tmp_path).octets == 3
    assert listings.unchanged(tmp_path) is None


def test_no_more_is_remembered_than_there_is_room_for(tmp_path: Path) -> None:
    drops = [tmp_path / name for name in "abc"]
    for drop in drops:
        deliver(drop)
        deliver(drop)
    listings = Listings(remembered_max=4, clock=later)
    listings.read(drops[0])
    listings.read(drops[1])
    assert listings.unchanged(drops[0]) is not None
    listings.read(drops[2])
    assert [drop in listings for drop in drops] == [True, False, True]
    deliver(drops[2])
    listings.read(drops[2])
    assert [drop in listings for drop in drops] == [False, False, True]


def test_a_maildrop_that_is_too_large_is_not_remembered(tmp_path: Path) -> None:
    deliver(tmp_path)
    deliver(tmp_path)
    listings = Listings(remembered_max=1, clock=later)
    assert len(listings.read(tmp_path).entries) == 2
    assert tmp_path not in listings
