"""The shadow configuration: read like the active one, and only asked."""

from collections.abc import Callable, Iterable
from pathlib import Path

from posthouse.accounts.store import Grant
from posthouse.config.compile import compile_rules
from posthouse.config.diagnostic import ConfigurationError, render
from posthouse.config.load import Loaded, load
from posthouse.config.syntax import decode
from posthouse.server.troubles import EXIT_CONFIGURATION, StartError
from posthouse.sessions.granted import doors_of
from posthouse.sessions.shadow import Shadow
from posthouse.telemetry.events import LogEvent


def shadow_of(
    loaded: Loaded, base: Path, grants: Iterable[Grant], log: Callable[[LogEvent], None]
) -> Shadow | None:
    """Return the shadow that a configuration names; None where it names none.

    Raises:
        StartError: If its file cannot be read or has errors.
    """
    file = loaded.configuration.shadow.file
    if file is None:
        return None
    path = base / file
    try:
        text = decode(path.read_bytes())
        other = load(text, path.name)
    except OSError as problem:
        why = problem.strerror or problem
        raise StartError(f"cannot read the shadow {path}: {why}", EXIT_CONFIGURATION) from None
    except ConfigurationError as problem:
        shown = render(problem.diagnostics, "", str(path)).rstrip()
        raise StartError(f"the shadow has errors\n{shown}", EXIT_CONFIGURATION) from None
    rules = compile_rules(other.configuration, other.spans, doors_of(grants), path.name)
    return Shadow(rules, str(path), log)
