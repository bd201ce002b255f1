"""House rules that no linter knows. Each message says what to do instead."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "posthouse"
FILES = sorted(path for path in SOURCE.rglob("*.py") if path.read_text())
ROOMS_WITHOUT_A_NAME = {"utils", "util", "helpers", "common", "misc", "base", "manager", "core"}
FILE_LINES_MAX, FUNCTION_LINES_MAX = 450, 45


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_is_small_and_has_a_name(path: Path) -> None:
    assert path.stem not in ROOMS_WITHOUT_A_NAME, "name the file after what it holds"
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX, "split it along a noun"
    for function in functions(path):
        assert function.end_lineno is not None
        lines = function.end_lineno - function.lineno + 1
        assert lines <= FUNCTION_LINES_MAX, f"{function.name}: move the branches up, the loops down"


def test_every_cited_rfc_is_listed() -> None:
    cited = {rfc for path in FILES for rfc in re.findall(r"RFC (\d+)", path.read_text())}
    listed = set(re.findall(r"RFC (\d+)", (ROOT / "docs/rfcs.md").read_text()))
    assert cited <= listed, f"add to docs/rfcs.md: {sorted(cited - listed)}"


def test_the_lock_files_name_no_download_address() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text
        pinned = [line for line in text.splitlines() if "==" in line]
        assert pinned
        assert text.count("--hash=sha256:") >= len(pinned)
