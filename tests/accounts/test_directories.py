"""Others who know passwords: a file, a real slapd, a real Dovecot; and servers that misbehave."""

import asyncio
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import pytest

from posthouse.accounts import ldap
from posthouse.accounts.answers import Elsewhere, ElsewhereError
from posthouse.accounts.dovecot_auth import DovecotAuth
from posthouse.accounts.ldap import LdapDirectory, LdapSettings
from posthouse.accounts.passwd_file import PasswdFile, read
from posthouse.mail.address import parse_mailbox

HERE: Final = ip_address("192.0.2.7")
PASSWD: Final = """\
# name:password:uid:gid:gecos:home:shell:extra
ann@example.com:{SSHA256}LP5EPnacGAycYXrZgTYVYnbMZdV/rUZMzAENMnFARxPUZIG3:1000:1000::/home/ann::
Bob:$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.
carol@example.com:{PLAIN}secret
dave@example.com:!
eve@example.com:{ROT13}frperg
bob@example.com:{PLAIN}again
frank
@@:{PLAIN}x
"""


def test_a_passwd_file_is_read_with_every_line_that_cannot_be_used() -> None:
    found = read(PASSWD, domain="example.com")
    assert [str(it.mailbox) for it in found.entries] == [
        "ann@example.com",
        "bob@example.com",
        "carol@example.com",
    ]
    assert found.entries[1].stored.startswith("{CRYPT}$6$")
    assert [it.line for it in found.troubles] == [5, 6, 7, 8, 9]
    assert "secret" not in repr(found)
    assert len(read(PASSWD).entries) == 3, "a bare name needs a domain"


async def test_a_passwd_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "users"
    file = PasswdFile(path, domain="example.com")
    with pytest.raises(ElsewhereError, match="cannot be read"):
        await file.check("ann@example.com", "x", address=HERE)
    path.write_text(PASSWD)
    for name, password, answer in (
        ("ann@example.com", "sécret pass", Elsewhere.RIGHT),
        ("carol", "secret", Elsewhere.RIGHT),
        ("carol@example.com", "wrong", Elsewhere.WRONG),
        ("nobody@example.com", "secret", Elsewhere.WRONG),
        ("@", "secret", Elsewhere.WRONG),
        ("carol", "", Elsewhere.WRONG),
    ):
        assert await file.check(name, password, address=HERE) is answer
    path.write_text("carol@example.com:{PLAIN}new secret\n")
    assert await file.check("carol", "new secret", address=HERE) is Elsewhere.RIGHT
    assert file.mailboxes() == (parse_mailbox("carol@example.com"),)


# ---------------------------------------------------------------- LDAP


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_open(place: tuple[str, int] | str) -> None:
    kind = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
    for _ in range(100):
        with suppress(OSError), socket.socket(kind) as probe:
            probe.connect(place)
            return
        time.sleep(0.05)
    raise AssertionError(f"{place} does not open")


LDIF: Final = """\
dn: dc=example,dc=com
objectClass: domain
dc: example

dn: cn=search,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: search
userPassword: search word

dn: uid=ann,dc=example,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: Ann
mail: ann@example.com
userPassword: {SSHA}fmZlLUFsaWL0olEKuSuY+hjtkrZtJBhA

dn: uid=bob\\2C jr,dc=example,dc=com
objectClass: inetOrgPerson
uid: bob, jr
cn: Bob
sn: Bob
mail: bob@example.com
userPassword: bob word

dn: uid=twin,dc=example,dc=com
objectClass: inetOrgPerson
uid: twin
cn: Twin
sn: Twin
mail: bob@example.com
userPassword: bob word
"""


@pytest.fixture(scope="module")
def slapd() -> Iterator[int]:
    program = shutil.which("slapd", path="/usr/sbin:/usr/lib/openldap:/usr/bin")
    if program is None:
        pytest.skip("no slapd here: make peers")
    place = Path(tempfile.mkdtemp(prefix="posthouse-ldap-"))
    (place / "db").mkdir()
    schemas = "\n".join(
        f"include /etc/ldap/schema/{name}.schema" for name in ("core", "cosine", "inetorgperson")
    )
    (place / "slapd.conf").write_text(
        f"{schemas}\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {place}/pid\n"
        f'database mdb\nsuffix "dc=example,dc=com"\ndirectory {place}/db\n'
        "access to attrs=userPassword by anonymous auth by * none\naccess to * by users read\n"
    )
    (place / "data.ldif").write_text(LDIF)
    conf = str(place / "slapd.conf")
    tool = [program, "-T", "add", "-f", conf, "-l", str(place / "data.ldif")]
    subprocess.run(tool, check=True, capture_output=True, timeout=20)
    port = free_port()
    server = subprocess.Popen(
        [program, "-d", "0", "-f", conf, "-h", f"ldap://127.0.0.1:{port}/"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_open(("127.0.0.1", port))
        yield port
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(place)


@pytest.mark.peer
async def test_slapd_is_asked_by_a_bind_as_the_person(slapd: int) -> None:
    directory = LdapDirectory(
        LdapSettings("127.0.0.1", slapd, bind_dn="uid={local_part},dc=example,dc=com")
    )
    for name, password, answer in (
        ("ann@example.com", "sécret pass", Elsewhere.RIGHT),
        ("bob, jr@example.com", "bob word", Elsewhere.RIGHT),
        ("ann@example.com", "wrong", Elsewhere.WRONG),
        ("ann@example.com", "", Elsewhere.WRONG),
        ("nobody@example.com", "x", Elsewhere.WRONG),
        ("ann,dc=example", "sécret pass", Elsewhere.WRONG),
    ):
        assert await directory.check(name, password, address=HERE) is answer


@pytest.mark.peer
async def test_slapd_is_searched_for_the_entry_first(slapd: int) -> None:
    settings = LdapSettings(
        "127.0.0.1",
        slapd,
        search_base="dc=example,dc=com",
        search_dn="cn=search,dc=example,dc=com",
        search_password="search word",
    )
    directory = LdapDirectory(settings)
    for name, password, answer in (
        ("ann@example.com", "sécret pass", Elsewhere.RIGHT),
        ("ann@example.com", "wrong", Elsewhere.WRONG),
        ("*", "sécret pass", Elsewhere.WRONG),
        ("ann*", "sécret pass", Elsewhere.WRONG),
        ("x)(mail=ann@example.com", "sécret pass", Elsewhere.WRONG),
        ("bob@example.com", "bob word", Elsewhere.WRONG),  # two entries: whose mail would it be?
    ):
        assert await directory.check(name, password, address=HERE) is answer
    wrong = LdapSettings("127.0.0.1", slapd, search_dn="cn=search,dc=example,dc=com")
    with pytest.raises(ElsewhereError):
        await LdapDirectory(wrong).check("ann@example.com", "sécret pass", address=HERE)
    tls = LdapSettings("127.0.0.1", slapd, start_tls=True, bind_dn="uid={local_part}")
    with pytest.raises(ElsewhereError, match="start TLS"):
        await LdapDirectory(tls).check("ann@example.com", "sécret pass", address=HERE)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400\r\n\r\n", b"\x30\x84\xff\xff\xff\xff", b"0"])
async def test_an_ldap_server_that_is_none_cannot_be_read(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ldap, "ANSWER_SECONDS_MAX", 0.15)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(said)
        if said == b"0":
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    directory = LdapDirectory(LdapSettings("127.0.0.1", port, bind_dn="uid={local_part}"))
    with pytest.raises(ElsewhereError):
        await directory.check("ann@example.com", "x", address=HERE)
    server.close()
    await server.wait_closed()
    with pytest.raises(ElsewhereError, match="LDAP server"):
        await directory.check("ann@example.com", "x", address=HERE)


# ---------------------------------------------------------------- Dovecot

DOVECOT: Final = """\
base_dir = {place}/run
state_dir = {place}/state
log_path = {place}/log
protocols =
ssl = no
auth_mechanisms = plain
auth_failure_delay = 0
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
first_valid_uid = 0
passdb {{
  driver = passwd-file
  args = {place}/users
}}
userdb {{
  driver = static
  args = uid=0 gid=0 home=/nonexistent
}}
service auth {{
  user = {user}
  unix_listener auth-client {{
    mode = 0600
  }}
}}
service stats {{
  chroot =
}}
service anvil {{
  chroot =
}}
"""


@pytest.fixture(scope="module")
def dovecot() -> Iterator[str]:
    program = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("no dovecot here: make peers")
    place = Path(tempfile.mkdtemp(prefix="posthouse-dovecot-"))
    (place / "users").write_text("ann@example.com:{PLAIN}secret word\nbad@example.com:{X}\n")
    conf = place / "dovecot.conf"
    conf.write_text(DOVECOT.format(place=place, user="root", group="root"))
    server = subprocess.Popen(
        [program, "-F", "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_open(str(place / "run" / "auth-client"))
        yield str(place / "run" / "auth-client")
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(place)


@pytest.mark.peer
async def test_dovecot_is_asked_as_postfix_asks_it(dovecot: str) -> None:
    directory = DovecotAuth(dovecot)
    for name, password, answer in (
        ("ann@example.com", "secret word", Elsewhere.RIGHT),
        ("ann@example.com", "wrong", Elsewhere.WRONG),
        ("ann@example.com", "", Elsewhere.WRONG),
        ("nobody@example.com", "secret word", Elsewhere.WRONG),
        ("ann@example.com\tx\n", "secret word", Elsewhere.WRONG),
    ):
        assert await directory.check(name, password, address=HERE) is answer


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"VERSION\t2\t0\nDONE\n",
        b"VERSION\t1\t2\nDONE\nFAIL\t1\tuser=a\ttemp\n",
        b"VERSION\t1\t2\nDONE\nCONT\t1\t\n",
        b"VERSION\t1\t2\n" + b"x" * 20000,
        b"x\n" * 1000,
        b"VERSION\t1\t2\nDONE\n" + b"OK\t2\n" * 300,
    ],
)
async def test_a_dovecot_that_is_none_cannot_be_read(said: bytes, tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        with suppress(ConnectionError):
            await reader.readline()
        writer.close()

    path = tmp_path / "auth"
    server = await asyncio.start_unix_server(answer, path)
    with pytest.raises(ElsewhereError):
        await DovecotAuth(str(path)).check("ann@example.com", "x", address=HERE)
    server.close()
    await server.wait_closed()
    with pytest.raises(ElsewhereError):
        await DovecotAuth(str(tmp_path / "none")).check("ann", "x", address=HERE)
