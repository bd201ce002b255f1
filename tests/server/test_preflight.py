"""What a configuration needs of this machine is looked for, and its line is named."""

from pathlib import Path

import pytest

from posthouse.config.load import load
from posthouse.server.preflight import preflight

HEAD = 'hostname = "mail.example.com"\n'
ROUTE = """\
[[outbound.route]]
to = ["*"]
via = "smtp://relay.example.com:587"
sign_in = { user = "isp", password_file = "secret" }
"""


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ('[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n', "certificate {base}/c.pem does not", 3),
        ('user = "nobody-of-that-name"\n', "there is no user nobody-of-that-name", 2),
        (
            ROUTE,
            "the password file {base}/secret does not exist",
            5,
        ),
    ],
)
def test_what_is_missing_is_named_with_its_line(
    text: str, says: str, line: int, tmp_path: Path
) -> None:
    (found,) = preflight(load(HEAD + text), tmp_path)
    assert says.format(base=tmp_path) in found.message
    assert (found.code, found.line) == ("W123", line)


def test_a_machine_that_has_everything_is_not_warned_of(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    assert preflight(load(HEAD + ROUTE), tmp_path) == []


def test_more_workers_than_processors_are_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    assert preflight(load(HEAD + "workers = 2\n"), tmp_path) == []
    (found,) = preflight(load(HEAD + "workers = 3\n"), tmp_path)
    assert (found.code, found.line) == ("W126", 2)
    assert "3 workers will share 2 processors" in found.message
