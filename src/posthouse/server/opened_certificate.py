"""The configured certificate, opened while root may, for workers that are not root."""

import os
from pathlib import Path

from posthouse.config.schema import Configuration
from posthouse.server.assembly import configured_certificates


def open_certificate(configuration: Configuration, base: Path) -> tuple[int, ...]:
    """Return handles of copies in memory: certificate, key, authorities; none if not root.

    Raises:
        StartError: If the certificate cannot be used.
    """
    certificates = configured_certificates(configuration, base)
    if certificates is None or not configuration.user or os.geteuid() != 0:
        return ()
    return tuple(_copy(path) for path in certificates.files)


def _copy(path: Path) -> int:
    handle = os.memfd_create(path.name, os.MFD_CLOEXEC)
    os.write(handle, path.read_bytes())
    return handle
