"""Name servers of other makers: Knot with zones that it signs, Unbound that validates.

They run in private directories on free loopback ports, and are stopped by their process ids.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from posthouse.lab.hosts import wait_for
from tests.end_to_end.receivers import free_port, private_directory

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
NEEDS_NAME_SERVERS = pytest.mark.skipif(
    any(shutil.which(it, path=PATH) is None for it in ("knotd", "keymgr", "unbound")),
    reason="Knot and Unbound are not installed (make peers)",
)
_KNOT = """\
server:
    rundir: "{directory}"
    listen: 127.0.0.1@{port}
database:
    storage: "{directory}/keys"
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: "{directory}"
    file: "%s.zone"
    dnssec-signing: on
    zonefile-load: difference
    journal-content: all
zone:
{zones}
"""
_UNBOUND = """\
server:
    interface: 127.0.0.1
    port: {port}
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    do-ip6: no
    num-threads: 1
    do-not-query-localhost: no
    module-config: "validator iterator"
{anchors}
remote-control:
    control-enable: no
{stubs}
"""
_HEAD = "@ 60 SOA ns hostmaster 1 3600 600 86400 60\n@ 60 NS ns\nns 60 A 127.0.0.1\n"


@contextmanager
def resolving(
    zones: Mapping[str, str], *, bogus: frozenset[str] = frozenset(), unsigned: frozenset[str]
) -> Iterator[str]:
    """Serve zones (name -> lines of records) and resolve them; yield ``address:port``.

    All zones are signed. Of those in `bogus` the resolver trusts another key, so nothing in them
    is valid; of those in `unsigned` it knows none, as if their parent had no DS record.
    """
    with private_directory() as directory, _knot(directory, zones) as knot:
        anchors = []
        for name in zones:
            if name not in unsigned:
                key = _key_of(directory, name)
                wrong = f"{key.rpartition(' ')[0]} {'ab' * 32}"
                anchors.append(wrong if name in bogus else key)
        with _unbound(directory, knot, tuple(zones), anchors) as port:
            yield f"127.0.0.1:{port}"


@contextmanager
def _knot(directory: Path, zones: Mapping[str, str]) -> Iterator[int]:
    port = free_port()
    (directory / "keys").mkdir()
    for name, records in zones.items():
        (directory / f"{name}.zone").write_text(f"$ORIGIN {name}.\n{_HEAD}{records}")
    listed = "\n".join(f"  - domain: {name}" for name in zones)
    text = _KNOT.format(directory=directory, port=port, zones=listed)
    (directory / "knot.conf").write_text(text)
    with _running(["knotd", "-c", str(directory / "knot.conf")]):
        assert wait_for(lambda: all(_key_of(directory, name) for name in zones), 20)
        yield port


def _key_of(directory: Path, name: str) -> str:
    """The DS record of a zone, by SHA-256, as its parent would have it; "" before it is made."""
    asked = [_path("keymgr"), "-c", str(directory / "knot.conf"), name, "ds"]
    answered = subprocess.run(asked, capture_output=True, text=True, check=False)
    return next((it for it in answered.stdout.splitlines() if it.split()[4:5] == ["2"]), "")


@contextmanager
def _unbound(
    directory: Path, knot: int, names: tuple[str, ...], anchors: list[str]
) -> Iterator[int]:
    port = free_port()
    text = _UNBOUND.format(
        port=port,
        directory=directory,
        anchors="\n".join(f'    trust-anchor: "{it}"' for it in anchors),
        stubs="\n".join(
            f'stub-zone:\n    name: "{it}"\n    stub-addr: 127.0.0.1@{knot}' for it in names
        ),
    )
    (directory / "unbound.conf").write_text(text)
    with _running(["unbound", "-d", "-c", str(directory / "unbound.conf")]):
        yield port


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(
        [_path(command[0]), *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _path(program: str) -> str:
    found = shutil.which(program, path=PATH)
    assert found is not None, "checked by NEEDS_NAME_SERVERS"
    return found
