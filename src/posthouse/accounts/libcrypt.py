"""crypt(3) of the C library: SHA-crypt, MD5-crypt and yescrypt, Debian's default for shadow.

The interpreter's lock is not held meanwhile, which no Python implementation can offer. Where there
is no libcrypt, libpass does what it can; it knows no yescrypt.
"""

import ctypes
import ctypes.util
import hmac
from collections.abc import Callable
from functools import cache
from typing import Final

from passlib.hash import md5_crypt, sha256_crypt, sha512_crypt

_DATA_OCTETS: Final = 32768  # sizeof(struct crypt_data) of libxcrypt
_PASSWORD_OCTETS_MAX: Final = 511  # of libxcrypt, CRYPT_MAX_PASSPHRASE_SIZE
_IN_PYTHON: Final = {"$1$": md5_crypt, "$5$": sha256_crypt, "$6$": sha512_crypt}

Crypt = Callable[[bytes, bytes], bytes | None]


def verify(stored: str, password: bytes) -> bool:
    """Whether crypt(3) makes this hash of the password; False for a hash nobody here can read."""
    if b"\0" in password or not stored.isascii():
        return False
    crypt = _library()
    if crypt is not None and len(password) <= _PASSWORD_OCTETS_MAX:
        made = crypt(password, stored.encode("ascii"))
        return made is not None and hmac.compare_digest(made, stored.encode("ascii"))
    known = _IN_PYTHON.get(stored[:3])
    try:
        return known is not None and bool(known.verify(password, stored))
    except ValueError:
        return False


@cache
def _library() -> Crypt | None:
    """Return crypt_rn of libxcrypt; it is safe in threads, which plain crypt is not."""
    try:
        library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
        crypt_rn = library.crypt_rn
    except (OSError, AttributeError):
        return None
    crypt_rn.restype = ctypes.c_char_p
    crypt_rn.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]

    def crypt(password: bytes, setting: bytes) -> bytes | None:
        data = ctypes.create_string_buffer(_DATA_OCTETS)
        made: bytes | None = crypt_rn(password, setting, data, _DATA_OCTETS)
        return None if made is None or made.startswith(b"*") else made

    return crypt
