"""From start to stop: the order of things."""

from pathlib import Path

from posthouse.server.assembly import configured_certificates
from posthouse.server.entrances import bind_all, close_all
from posthouse.server.loading import load_file, read_file, with_shadow
from posthouse.server.privileges import drop
from posthouse.server.processors import workers_of
from posthouse.server.running import Ready, Run, Site, log_of, raise_handle_limit, run_loop
from posthouse.server.storage import open_storage
from posthouse.server.troubles import StartError
from posthouse.server.workers import supervise
from posthouse.telemetry.sinks import Log


def serve(
    path: Path,
    *,
    ready: Ready | None = None,
    log: Log | None = None,
    shadow: Path | None = None,
) -> None:
    """Run a server until it is told to stop by SIGTERM, SIGINT or the control socket.

    Args:
        path: The configuration file; relative paths in it count from its directory.
        ready: Called once all sockets take connections, with the addresses by listener.
        log: Where events go; by default to standard error, as the configuration says. With one
            of its own the server is one process, whatever the configuration says.
        shadow: A configuration to try beside, instead of the one that the file names.

    Raises:
        StartError: If it cannot start: one message for the operator, and the exit code.
    """
    text = read_file(path)
    loaded = with_shadow(load_file(path, text), shadow)
    configuration = loaded.configuration
    if log is None and workers_of(configuration) > 1:
        supervise(path, text, loaded, ready, shadow)
        return
    directory = path.parent / configuration.storage.directory
    (share,) = bind_all(configuration)
    try:
        certificates = configured_certificates(configuration, path.parent)  # a key may be root's
        drop(configuration.user, configuration.group, directory)
        lock = open_storage(directory)
    except StartError:
        close_all([share])
        raise
    raise_handle_limit()
    own_log = log or log_of(configuration)
    try:
        run_loop(Run(Site(path, loaded, directory, share, own_log, certificates, shadow)), ready)
    finally:
        close_all([share])
        if log is None:
            own_log.close()
        lock.release()
