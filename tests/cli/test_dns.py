"""`posthouse dkim` and `posthouse dns`, with a name server on loopback."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.authentication.signatures.keys import from_pem, parse_key_record
from posthouse.cli.exits import Exit
from posthouse.lab.zones import Zones, ZoneServer
from tests.cli.commands import Ran, command

DOMAIN = "proseware.com"
FILE = """\
hostname = "mail.proseware.com"

[domains."proseware.com"]

[listen.mx]
service = "smtp"
on = ["127.0.0.1:2525"]
tls = "offered"

[outbound]
from_addresses = ["8.8.4.4", "2001:4860:4860::8844"]

[dns]
servers = ["{server}"]

[storage]
directory = "storage"
"""


@pytest.fixture
async def zones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Zones]:
    monkeypatch.delenv("POSTHOUSE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    kept = Zones()
    server = ZoneServer(kept, "127.0.0.1")
    await server.start()
    (tmp_path / "posthouse.toml").write_text(FILE.format(server=f"127.0.0.1:{server.port}"))
    (tmp_path / "storage").mkdir(mode=0o700)
    yield kept
    await server.stop()


async def said(*arguments: str) -> Ran:
    return await asyncio.to_thread(command, *arguments)


def publish(zones: Zones, lines: str) -> None:
    """Put zone lines, as `dns records` prints them, into the zones."""
    text = re.sub(r"^;.*\n", "", lines, flags=re.MULTILINE)
    text = re.sub(r"\(\s*([^)]*)\)", lambda found: " ".join(found[1].split("\n")), text)
    found: dict[tuple[str, str], list[str]] = {}
    for line in filter(None, text.splitlines()):
        name, kind, value = line.split(None, 2)
        found.setdefault((name, kind), []).append(value)
    for (name, kind), values in found.items():
        zones.put(name, kind, *values)


async def test_keys_are_made_listed_and_retired_with_overlap(zones: Zones, tmp_path: Path) -> None:
    added = await said("dkim", "key", "add", DOMAIN, "--json")
    assert added.code == Exit.DONE
    kinds = {key["kind"]: key for key in added.json["keys"]}
    assert set(kinds) == {"rsa", "ed25519"}
    selector = kinds["rsa"]["selector"]
    file = tmp_path / "storage" / "dkim" / DOMAIN / f"{selector}.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    record = parse_key_record(kinds["rsa"]["record"])
    assert record.key == from_pem(file.read_bytes()).public_key()

    again = await said("dkim", "key", "add", DOMAIN, "--kind", "rsa", "--json")
    newer = again.json["keys"][0]["selector"]
    assert newer == f"{selector}-2"
    retired = await said("dkim", "key", "retire", DOMAIN, selector)
    assert "take" in retired.out
    assert f"left: {kinds['ed25519']['selector']}, {newer}; only what is published" in retired.err
    listed = (await said("dkim", "key", "list", DOMAIN)).out
    assert re.search(rf"{newer} +rsa +in use if published", listed)
    assert re.search(rf"{selector} +rsa +retired", listed)
    assert (await said("dkim", "key", "retire", DOMAIN, selector)).code == Exit.NO


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("dkim", "key", "add", "elsewhere.example"), Exit.NO),
        (("dkim", "key", "add", "no domain"), Exit.USAGE),
        (("dkim", "key", "add", DOMAIN, "--selector", "x"), Exit.USAGE),
        (("dkim", "key", "add", DOMAIN, "--kind", "rsa", "--selector", "../x"), Exit.NO),
        (("dkim", "key", "retire", DOMAIN, "none"), Exit.NO),
        (("dns", "records", "elsewhere.example"), Exit.NO),
    ],
    ids=lambda it: shlex.join(it) if isinstance(it, tuple) else "",
)
async def test_what_cannot_be_done_is_told(
    zones: Zones, arguments: tuple[str, ...], code: Exit
) -> None:
    ran = await said(*arguments)
    assert ran.code == code
    assert ran.err
    assert "Traceback" not in ran.err


async def test_what_is_printed_is_what_is_found_right(zones: Zones) -> None:
    await said("dkim", "key", "add", DOMAIN)
    missing = await said("dns", "check", DOMAIN)
    assert missing.code == Exit.NO
    assert re.search(r"missing +mx +MX +proseware.com", missing.out)
    records = await said("dns", "records", DOMAIN)
    assert "proseware.com. MX 10 mail.proseware.com." in records.out
    assert "4.4.8.8.in-addr.arpa. PTR mail.proseware.com." in records.out
    publish(zones, records.out)
    await asyncio.sleep(0.01)
    found = await said("dns", "check", DOMAIN)
    assert found.code == Exit.DONE, found.out
    assert {line.split()[0] for line in found.out.splitlines()} == {"ok"}


async def test_what_is_wrong_is_told_with_what_is_there(zones: Zones) -> None:
    await said("dkim", "key", "add", DOMAIN, "--kind", "ed25519", "--selector", "one")
    publish(zones, (await said("dns", "records", DOMAIN)).out)
    zones.put(DOMAIN, "MX", "10 mail.other.example.")
    zones.put(DOMAIN, "TXT", '"v=spf1 ip4:192.0.2.1 -all"')
    zones.put(f"_dmarc.{DOMAIN}", "TXT", '"v=DMARC1; p=none"', '"v=DMARC1; p=reject"')
    zones.put(f"one._domainkey.{DOMAIN}", "TXT", '"v=DKIM1; p="')
    checked = (await said("dns", "check", DOMAIN, "--json")).json["records"]
    states = {it["record"]["purpose"]: (it["state"], it["found"]) for it in checked}
    assert states["mx"] == ("wrong", "mail.other.example")
    assert states["spf"] == ("wrong", "v=spf1 ip4:192.0.2.1 -all (8.8.4.4: fail)")
    assert states["dmarc"] == ("wrong", "2 records, so none counts")
    assert states["dkim"] == ("wrong", "another key")
    assert states["ptr"][0] == "ok"


async def test_who_sends_by_a_smart_host_lets_that_host_send(zones: Zones, tmp_path: Path) -> None:
    file = tmp_path / "posthouse.toml"
    host = 'via = "smtp://relay.provider.example:587"'
    file.write_text(re.sub(r"from_addresses = .*", host, file.read_text()))
    records = (await said("dns", "records", DOMAIN)).out
    assert '"v=spf1 mx a:relay.provider.example ~all"' in records
    assert "PTR" not in records
    publish(zones, records)
    zones.put("relay.provider.example", "A", "192.0.2.25")
    zones.put("mail.proseware.com", "A", "192.0.2.26")
    found = await said("dns", "check", DOMAIN)
    assert found.code == Exit.DONE, found.out
