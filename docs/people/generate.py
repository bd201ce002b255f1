"""Write what is derived from the doctor's sources. Run it after changing anything in doctor/data.

python docs/people/generate.py           # writes
python docs/people/generate.py --check   # says what would change, exit status 1 if anything
"""

import sys
from pathlib import Path

from posthouse.doctor.catalogue import COMPILED, compile_knowledge

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "src" / "posthouse" / "doctor" / "data"


def derived() -> dict[Path, bytes]:
    """Return every derived file with its content."""
    catalogue = {
        path.name: path.read_text() for path in sorted((DATA / "catalogue").glob("*.toml"))
    }
    vocabulary = (DATA / "vocabulary.toml").read_text()
    rules = (DATA / "rules.toml").read_text()
    advice = (DATA / "advice.toml").read_text()
    return {DATA / COMPILED: compile_knowledge(catalogue, vocabulary, rules, advice)}


def main() -> int:
    """Write or check."""
    stale = [
        path
        for path, octets in derived().items()
        if not path.exists() or path.read_bytes() != octets
    ]
    for path in stale:
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(derived()[path])
        print(path.relative_to(ROOT))
    return int("--check" in sys.argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
