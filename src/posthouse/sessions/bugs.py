"""Where a bug of ours was met, in one line for the log."""

import traceback
from pathlib import Path


def place_of(problem: BaseException) -> str:
    """Return the exception and the innermost place it came from: ``KeyError('x') in a.py:7``."""
    frames = traceback.extract_tb(problem.__traceback__)
    if not frames:
        return repr(problem)
    return f"{problem!r} in {Path(frames[-1].filename).name}:{frames[-1].lineno}"
