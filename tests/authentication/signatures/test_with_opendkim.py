"""What we sign, OpenDKIM verifies, by RSA and by Ed25519; what was changed, it refuses."""

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from posthouse.authentication.signatures.signing import Signer, sign_message
from tests.authentication.signatures.given import ED25519, MESSAGE, RSA, ZONE

OPENDKIM = shutil.which("opendkim", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(OPENDKIM is None, reason="OpenDKIM is not installed (make peers)"),
]
CONTENTS = {
    "plain": MESSAGE,
    "empty lines at the end": MESSAGE + b"\r\n\r\n",
    "blanks": MESSAGE + b"a \t b  \r\n \r\n",
    "empty body": MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
    "dots": MESSAGE + b".\r\n..\r\n. \r\n",
    "folded": b"X-Long: one\r\n\t two\r\nSubject: of its own\r\n" + MESSAGE,
    "eight bits": MESSAGE + "grüße 你好\r\n".encode(),
}


def signed(message: bytes, *signers: Signer) -> bytes:
    """Signed now: OpenDKIM looks at the clock."""
    return sign_message(message, signers, datetime.now(UTC)) + message


def verdicts(message: bytes, directory: Path) -> list[str]:
    """What OpenDKIM says of each signature."""
    assert OPENDKIM is not None, "checked above"
    keys = "".join(f"{name} {texts[0]}\n" for name, texts in ZONE.items() if texts)
    (directory / "keys").write_text(keys)
    (directory / "message").write_bytes(message)
    settings = directory / "settings"
    settings.write_text(f"Mode v\nSyslog no\nTestPublicKeys {directory}/keys\n")
    ran = subprocess.run(
        [OPENDKIM, "-x", str(settings), "-vvv", "-t", str(directory / "message")],
        capture_output=True,
        text=True,
        check=True,
    )
    return re.findall(r"^\s*dkim=(\w+)", ran.stdout, re.MULTILINE)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("signer", [RSA, ED25519], ids=["rsa", "ed25519"])
def test_opendkim_verifies_what_we_sign(signer: Signer, content: bytes, tmp_path: Path) -> None:
    assert verdicts(signed(content, signer), tmp_path) == ["pass"]


def test_opendkim_verifies_both_signatures_of_one_message(tmp_path: Path) -> None:
    assert verdicts(signed(MESSAGE, RSA, ED25519), tmp_path) == ["pass", "pass"]


def test_opendkim_refuses_what_was_changed_behind_us(tmp_path: Path) -> None:
    changed = signed(MESSAGE, RSA) + b"and buy my pills\r\n"
    assert verdicts(changed, tmp_path) == ["fail"]
