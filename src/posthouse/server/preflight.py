"""What a configuration needs of this machine: files that can be read, users that exist.

These are warnings: a file may be checked on another machine than the one that will serve.
"""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from posthouse.config.catalogue import finding
from posthouse.config.diagnostic import Diagnostic
from posthouse.config.load import Loaded
from posthouse.config.spans import Path as Place
from posthouse.server.processors import processors, workers_of
from posthouse.server.tls import CertificateError, server_context


def preflight(loaded: Loaded, base: Path) -> list[Diagnostic]:
    """Return what is missing here; relative paths count from `base`."""
    found = [
        *_certificate(loaded, base),
        *_password_files(loaded, base),
        *_user(loaded),
        *_workers(loaded),
    ]
    return sorted(found, key=lambda each: each.line)


def _certificate(loaded: Loaded, base: Path) -> Iterator[Diagnostic]:
    tls = loaded.configuration.tls
    if not tls.certificate or not tls.key:
        return
    try:
        server_context(base / tls.certificate, base / tls.key)
    except CertificateError as problem:
        what = "key" if str(problem).startswith("the TLS key") else "certificate"
        yield _missing(loaded, str(problem), ("tls", what))


def _password_files(loaded: Loaded, base: Path) -> Iterator[Diagnostic]:
    outbound = loaded.configuration.outbound
    wanted: list[tuple[str, Place]] = []
    if outbound.sign_in:
        wanted.append((outbound.sign_in.password_file, ("outbound", "sign_in", "password_file")))
    for number, route in enumerate(outbound.route):
        if route.sign_in:
            place: Place = ("outbound", "route", number, "sign_in", "password_file")
            wanted.append((route.sign_in.password_file, place))
    for name, place in wanted:
        path = base / name
        if not path.is_file():
            yield _missing(loaded, f"the password file {path} does not exist", place)
        elif not os.access(path, os.R_OK):
            yield _missing(loaded, f"the password file {path} cannot be read by this user", place)


def _user(loaded: Loaded) -> Iterator[Diagnostic]:
    user = loaded.configuration.user
    if not user:
        return
    try:
        pwd.getpwnam(user)
    except KeyError:
        yield _missing(loaded, f"there is no user {user}", ("user",))


def _workers(loaded: Loaded) -> Iterator[Diagnostic]:
    workers, there_are = workers_of(loaded.configuration), processors()
    if workers > there_are:
        message = f"{workers} workers will share {there_are} processors"
        words = f"workers = {there_are} at most"
        yield finding("few-processors", message, loaded.spans.value(("workers",)), words)


def _missing(loaded: Loaded, message: str, place: Place) -> Diagnostic:
    words = "a server on this machine would not start"
    return finding("missing-here", message, loaded.spans.value(place), words)
