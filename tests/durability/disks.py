"""Real file systems that can be full, turn read-only, or fail their flushes."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024
FAILING = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int dying(void) { return access(getenv("DYING"), F_OK) == 0; }
static int flush(int call, int fd) { return dying() ? (errno = EIO, -1) : syscall(call, fd); }
int fdatasync(int fd) { return flush(SYS_fdatasync, fd); }
int fsync(int fd) { return flush(SYS_fsync, fd); }
"""


class SmallDisk:
    """An ext4 of its own, mounted where a test wants it."""

    def __init__(self, place: Path, image: Path) -> None:
        self.place = place
        self._image = image
        self._ballast = place / "ballast"

    def fill(self, free: int) -> None:
        """Leave so many octets free; 0 for none at all."""
        state = os.statvfs(self.place)
        octets = state.f_bavail * state.f_frsize - free
        with self._ballast.open("ab", buffering=0) as file:  # nothing is left for its end
            if free:
                os.posix_fallocate(file.fileno(), file.tell(), octets)
                return
            try:
                while True:
                    file.write(bytes(65536))
            except OSError:
                return

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink()

    def mount(self) -> None:
        options = "loop,errors=remount-ro"
        done = subprocess.run(
            ["mount", "-t", "ext4", "-o", options, self._image, self.place],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")

    def unmount(self) -> None:
        subprocess.run(["umount", self.place], check=True)

    def turn_read_only(self) -> None:
        """As the kernel does when it meets damage: at once, under open files."""
        find = ["findmnt", "--noheadings", "--output", "SOURCE", str(self.place)]
        device = subprocess.run(find, capture_output=True, text=True, check=True).stdout.strip()
        trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
        if not trigger.exists():
            pytest.skip("this kernel cannot be told that a disk is damaged")
        trigger.write_text("a test says so")

    def repair(self) -> None:
        """What an administrator does then."""
        self.unmount()
        subprocess.run(["e2fsck", "-fy", self._image], stdout=subprocess.DEVNULL, check=False)
        self.mount()


@contextmanager
def small_disk(place: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """Make and mount one; root and the tools of ext4 are needed."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("only root can mount a disk, with mkfs.ext4")
    image = place.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(mebibytes * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-b", "4096", "-m", "0", image], check=True)
    place.mkdir(exist_ok=True)
    disk = SmallDisk(place, image)
    disk.mount()
    try:
        yield disk
    finally:
        disk.unmount()


def failing_flushes(directory: Path) -> dict[str, str]:
    """Return an environment in which every flush fails while the file `DYING` exists."""
    return {"LD_PRELOAD": preloaded(directory, FAILING), "DYING": str(directory / "dying")}


def preloaded(directory: Path, source: str) -> str:
    """Compile what comes between a program and its C library."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    file, library = directory / "between.c", directory / "between.so"
    file.write_text(source)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, file], check=True)
    return str(library)
