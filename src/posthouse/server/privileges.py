"""Giving root up, once the ports are open."""

import grp
import os
import pwd
from pathlib import Path

from posthouse.server.troubles import EXIT_CONFIGURATION, StartError


def drop(user: str, group: str, directory: Path) -> None:
    """Run as `user` from now on; the storage directory becomes his. Nothing if not root.

    Raises:
        StartError: If there is no such user or group.
    """
    if not user or os.geteuid() != 0:
        return
    try:
        known = pwd.getpwnam(user)
    except KeyError:
        message = f"there is no user {user}: make one, or correct `user`"
        raise StartError(message, EXIT_CONFIGURATION) from None
    try:
        gid = grp.getgrnam(group).gr_gid if group else known.pw_gid
    except KeyError:
        message = f"there is no group {group}: make one, or correct `group`"
        raise StartError(message, EXIT_CONFIGURATION) from None
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    if directory.stat().st_uid == 0:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, known.pw_uid, gid, follow_symlinks=False)
    os.setgroups(os.getgrouplist(user, gid))
    os.setgid(gid)
    os.setuid(known.pw_uid)
