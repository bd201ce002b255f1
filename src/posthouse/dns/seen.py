"""The file that keeps what watched names pointed at, so that a restart keeps the linger."""

import os
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

import msgspec

from posthouse.dns.answers import Address

Sightings: TypeAlias = dict[str, dict[Address, datetime]]  # host -> address -> last seen


class SeenFile:
    """JSON, replaced as a whole: a reader finds the old or the new, never half of one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Sightings:
        """Return what was written last; nothing if that cannot be read.

        Nothing is lost for good by that: the names are looked up again at once.
        """
        try:
            written = msgspec.json.decode(
                self._path.read_bytes(), type=dict[str, dict[str, datetime]]
            )
            return {
                host: {ip_address(text): at for text, at in seen.items() if at.tzinfo is not None}
                for host, seen in written.items()
            }
        except (OSError, ValueError, msgspec.DecodeError):
            return {}

    def write(self, sightings: Sightings) -> None:
        """Replace the file.

        Raises:
            OSError: If that failed; the old file is then still there.
        """
        octets = msgspec.json.encode(
            {host: {str(it): at for it, at in seen.items()} for host, seen in sightings.items()}
        )
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
