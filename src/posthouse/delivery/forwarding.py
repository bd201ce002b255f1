"""Forwarding: the reverse-path that forwarded mail goes on with, and the secret behind it."""

import os
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

from posthouse.authentication.srs import SECRET_OCTETS_MIN, Rewriter
from posthouse.mail.address import ReversePath

SECRET_OCTETS: Final = 32

Rewrite: TypeAlias = Callable[[ReversePath, datetime], ReversePath]
"""Gives the reverse-path for a copy that is forwarded at this moment."""


def unchanged(path: ReversePath, now: datetime) -> ReversePath:
    """Keep the reverse-path: where nothing is rewritten."""
    del now
    return path


def rewriting(rewriter: Rewriter, is_local: Callable[[str], bool]) -> Rewrite:
    """Return what rewrites foreign reverse-paths; those in our own domains pass SPF as they are."""

    def rewrite(path: ReversePath, now: datetime) -> ReversePath:
        if path.mailbox is None or is_local(path.mailbox.domain):
            return path
        return rewriter.rewrite(path, now)

    return rewrite


def read_secrets(path: Path) -> tuple[bytes, ...]:
    """Return the secrets of rewritten addresses, one a line in hexadecimal; make one if none is.

    The first signs, all are believed: put a new line on top to change it, and take the old one
    away three weeks later.

    Raises:
        OSError: If the file cannot be read or made.
        ValueError: If a line is no secret.
    """
    try:
        lines = path.read_text("utf-8").split()
    except FileNotFoundError:
        lines = [secrets.token_hex(SECRET_OCTETS)]
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(f"{lines[0]}\n".encode())
            file.flush()
            os.fsync(file.fileno())
    found = tuple(bytes.fromhex(line) for line in lines)
    if not found or any(len(secret) < SECRET_OCTETS_MIN for secret in found):
        raise ValueError(f"{path} has no secret, or one that is too short")
    return found
