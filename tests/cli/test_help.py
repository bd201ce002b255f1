"""What `posthouse --help` shows, and that it imports no command to show it."""

import subprocess
import sys

from posthouse.cli.main import COMMANDS, GROUPS


def test_every_command_is_in_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(COMMANDS)


def test_help_names_every_command_and_loads_none() -> None:
    program = (
        "import sys; from posthouse.cli.main import run\n"
        "try: run()\n"
        "except SystemExit: pass\n"
        "loaded = [it for it in sys.modules if it.startswith('posthouse.cli.')]\n"
        "print('LOADED', sorted(loaded), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    for name, (_, _, meaning) in COMMANDS.items():
        assert f"  {name} " in ran.stdout
        assert meaning.split()[0] in ran.stdout
    assert "posthouse.cli.queue" not in ran.stderr
