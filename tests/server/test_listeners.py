import socket

import pytest

from posthouse.server.listeners import bind, has_ipv6
from posthouse.server.troubles import StartError


def test_port_0_takes_a_free_port_and_tells_it() -> None:
    bound = bind("mx", (("127.0.0.1", 0),))
    try:
        ((address, port),) = bound.addresses
        assert address == "127.0.0.1"
        assert port > 0
    finally:
        bound.close()


def test_a_taken_port_is_told_in_one_sentence() -> None:
    first = bind("mx", (("127.0.0.1", 0),))
    port = first.addresses[0][1]
    try:
        with pytest.raises(StartError, match=f"port {port} on 127.0.0.1 .listener mx. is taken"):
            bind("mx", (("127.0.0.1", port),))
    finally:
        first.close()


def test_what_was_opened_before_the_trouble_is_closed_again() -> None:
    taken = bind("mx", (("127.0.0.1", 0),))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    try:
        with pytest.raises(StartError):
            bind("submission", (("127.0.0.1", free), taken.addresses[0]))
        bind("again", (("127.0.0.1", free),)).close()
    finally:
        taken.close()


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(StartError, match=r"no address 203\.0\.113\.25"):
        bind("mx", (("203.0.113.25", 0),))


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_the_same_port_serves_both_families() -> None:
    v6 = bind("mx", (("::1", 0),))
    port = v6.addresses[0][1]
    try:
        bind("mx", (("127.0.0.1", port),)).close()
    finally:
        v6.close()
