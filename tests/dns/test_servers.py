"""Which servers are asked."""

from pathlib import Path

import pytest

from posthouse.dns.servers import ServerAddress, parse_server, system_servers


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", ServerAddress("127.0.0.1", 53)),
        ("127.0.0.1:5353", ServerAddress("127.0.0.1", 5353)),
        ("::1", ServerAddress("::1", 53)),
        ("[::1]", ServerAddress("::1", 53)),
        ("[::1]:5353", ServerAddress("::1", 5353)),
    ],
)
def test_a_server_is_an_address_and_perhaps_a_port(text: str, address: ServerAddress) -> None:
    assert parse_server(text) == address
    assert parse_server(str(address)) == address


@pytest.mark.parametrize("text", ["", "ns.example", "127.0.0.1:0", "127.0.0.1:x", "[::1", "1.2.3"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_server(text)


def test_the_systems_servers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# x\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver bad\nsearch x\n"
    )
    assert system_servers(path) == (ServerAddress("192.0.2.1"), ServerAddress("fe80::1"))


def test_without_a_file_this_host_is_asked(tmp_path: Path) -> None:
    assert system_servers(tmp_path / "none") == (ServerAddress("127.0.0.1"),)
