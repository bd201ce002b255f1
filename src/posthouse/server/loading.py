"""The configuration file of a server: read, checked, and compared with the one in force."""

from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from posthouse.config.check import check
from posthouse.config.diagnostic import ConfigurationError, Diagnostic, is_fatal, render
from posthouse.config.load import Loaded, load
from posthouse.config.schema import Configuration, Shadow
from posthouse.config.syntax import decode
from posthouse.server.troubles import EXIT_CONFIGURATION, StartError


def utc_now() -> datetime:
    """Return the moment: the one clock of a running server."""
    return datetime.now(UTC)


def load_file(path: Path, text: str | None = None) -> Loaded:
    """Return the configuration in a file, checked and its own tests passed.

    Args:
        path: The file.
        text: What is in it, where that was read already.

    Raises:
        StartError: With everything that is wrong, as `posthouse check` shows it.
    """
    text = read_file(path) if text is None else text
    try:
        loaded = load(text, path.name)
    except ConfigurationError as problem:
        raise _wrong(problem.diagnostics, text, path) from None
    found = check(loaded.configuration, loaded.spans, utc_now())
    if is_fatal(found):
        raise _wrong(found, text, path)
    return loaded


def read_file(path: Path) -> str:
    """Return the text of a configuration file.

    Raises:
        StartError: If it cannot be read.
    """
    try:
        return decode(path.read_bytes())
    except OSError as problem:
        message = f"cannot read {path}: {problem.strerror or problem}"
        raise StartError(message, EXIT_CONFIGURATION) from None
    except ConfigurationError as problem:
        raise _wrong(problem.diagnostics, "", path) from None


def with_shadow(loaded: Loaded, shadow: Path | None) -> Loaded:
    """Return the configuration with another shadow than it names."""
    if shadow is None:
        return loaded
    file = Shadow(file=str(shadow.absolute()))
    return replace(loaded, configuration=loaded.configuration.model_copy(update={"shadow": file}))


def _wrong(
    diagnostics: "list[Diagnostic] | tuple[Diagnostic, ...]", text: str, path: Path
) -> StartError:
    shown = render(diagnostics, text, str(path)).rstrip()
    return StartError(f"the configuration has errors\n{shown}", EXIT_CONFIGURATION)


def check_needs_no_restart(old: Configuration, new: Configuration) -> None:
    """Refuse a change of what is bound to sockets, files or the process."""
    changed = [
        name
        for name in ("hostname", "listen", "user", "group", "workers", "dns")
        if getattr(old, name) != getattr(new, name)
    ]
    if old.storage.directory != new.storage.directory:
        changed.append("storage.directory")
    if changed:
        message = f"{', '.join(changed)} cannot change while the server runs: restart it"
        raise StartError(message, EXIT_CONFIGURATION)
