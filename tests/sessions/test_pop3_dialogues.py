"""Each file in `dialogues/pop3` is one conversation with a real session.

``C:`` what the client sends (one write for lines in a row), ``S:`` what it must get, line by line,
``S: (closed)`` the end; ``X:`` what another program does to the mailbox meanwhile.
"""

import asyncio
import shutil
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import msgspec
import pytest

from posthouse.mailbox.maildrop import open_maildrop
from posthouse.sessions.pop3_service import TlsRule
from tests.sessions.pop3_world import LIMITS, World, pop3_world

DIRECTORY = Path(__file__).parent.parent / "dialogues" / "pop3"
FILES = sorted(DIRECTORY.glob("*.txt"))


def unescaped(text: str) -> str:
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")


class Dialogue:
    def __init__(self, text: str) -> None:
        self.givens: list[list[str]] = []
        self.turns: list[tuple[str, str]] = []
        for line in text.splitlines():
            if line.startswith("given"):
                self.givens.append(line.split(maxsplit=3)[1:])
            elif line[:2] in ("C:", "S:", "X:"):
                self.turns.append((line[0], line[3:]))

    def value(self, key: str, default: str) -> str:
        return next((given[1] for given in self.givens if given[0] == key), default)

    def put_messages(self, world: World) -> None:
        for kind, name, *rest in self.givens:
            if kind == "message":
                world.put(name, unescaped(rest[0]))


def another_program(world: World, line: str) -> None:
    act, name = line.split()
    (path,) = world.mailbox().glob(f"new/{name}*")
    if act == "removes":
        path.unlink()
    elif act == "reads":
        path.rename(world.mailbox() / "cur" / f"{path.name}:2,S")
    else:
        assert act == "breaks"
        path.unlink()
        path.mkdir()


async def played(dialogue: Dialogue, world: World) -> list[tuple[str, str]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    said: list[tuple[str, str]] = []
    for who, turns in groupby(dialogue.turns, key=lambda turn: turn[0]):
        lines = [text for _, text in turns]
        if who == "C":
            said += [(who, line) for line in lines]
            writer.write("".join(unescaped(line) + "\r\n" for line in lines).encode())
        elif who == "X":
            said += [(who, line) for line in lines]
            for line in lines:
                another_program(world, line)
        else:
            for _ in lines:
                octets = await asyncio.wait_for(reader.readline(), 5)
                text = octets.decode().removesuffix("\r\n") if octets else "(closed)"
                said.append((who, text))
    writer.close()
    await writer.wait_closed()
    return said


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_the_server_says_what_the_transcript_says(path: Path, tmp_path: Path) -> None:
    dialogue = Dialogue(path.read_text())
    rule = TlsRule(dialogue.value("tls", "offered"))
    core = msgspec.structs.replace(LIMITS.core, errors_max=int(dialogue.value("errors_max", "20")))
    limits = msgspec.structs.replace(LIMITS, core=core, failure_pause=timedelta(0))
    async with pop3_world(tmp_path, rule, limits) as world:
        dialogue.put_messages(world)
        other = open_maildrop(world.mailbox()) if dialogue.value("other", "") else None
        if dialogue.value("mailbox", "") == "broken":
            shutil.rmtree(world.mailbox())
            (tmp_path / "ann@example.com").write_bytes(b"")
        assert await played(dialogue, world) == dialogue.turns
        if left := dialogue.value("left", ""):
            await world.until(lambda: not world.service.sessions)
            assert world.names() == ([] if left == "nothing" else left.split(","))
        if other is not None:
            other.close()
