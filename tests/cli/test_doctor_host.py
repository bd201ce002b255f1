"""`posthouse doctor host`, `posthouse probe`, `posthouse settings` at the command line."""

import asyncio
import sys
import threading
from collections.abc import Iterator

import pytest

from posthouse.cli.exits import Exit
from posthouse.doctor.catalogue import shipped
from posthouse.lab.zones import Zones, ZoneServer
from tests.cli.commands import Ran, command
from tests.end_to_end.server import ANN, SIGNED_IN
from tests.probe.places import Place, posthouse

RELAY = "550 5.7.1 <bob@example.net>... Relaying denied"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with posthouse(tmp_path_factory.mktemp("looked-at"), SIGNED_IN, people=(ANN,)) as it:
        yield it


def host(place: Place, *more: str, given: str = "") -> Ran:
    ports = [f"--port={door.service.value}:{door.port}" for door in place.doors]
    return command(
        "doctor", "host", "127.0.0.1", "--no-dns", "--timeout", "5", *ports, *more, given=given
    )


def test_what_will_be_done_is_said_first_and_nothing_is_done_without_leave(place: Place) -> None:
    planned = host(place, "--plan", "--relay", "--user", "ann@proseware.com")
    assert planned.code == Exit.DONE
    assert planned.out == ""
    assert "the content is never sent" in planned.err
    assert "Sign in once as ann@proseware.com" in planned.err
    assert "No mail is sent. Nothing is stored." in planned.err
    unasked = host(place)
    assert unasked.code == Exit.USAGE
    assert "--yes" in unasked.err
    assert place.server.events("connected") == []


def test_a_dense_table_a_verdict_and_settings_are_printed(place: Place) -> None:
    ran = host(place, "--yes")
    assert ran.code == Exit.NO  # the certificate is for another name than 127.0.0.1
    lines = ran.out.splitlines()
    assert "certificate is not trusted" in lines[0]
    assert sum("open" in line and "TLSv1.3" in line for line in lines) == 5
    assert f"  Port: {place.port('submissions')}" in lines
    assert any(line.startswith("  ! [provider] The certificate of 127.0.0.1") for line in lines)


def test_a_person_can_try_to_sign_in_with_the_password_on_standard_input(place: Place) -> None:
    ran = host(
        place, "--yes", "--relay", "--user", ANN.name, "--from", "boss@other.example",
        "--unsafe-sign-in", "--transcript", given=f"{ANN.password}\n",
    )  # fmt: skip
    assert f"Signing in as {ANN.name} works" in ran.out
    assert "The sender address is not yours" in ran.out
    assert "AUTH PLAIN ********" in ran.out
    assert ANN.password not in ran.out + ran.err


def test_json_is_one_document_without_secrets(place: Place) -> None:
    ran = host(
        place, "--yes", "--json", "--user", ANN.name, "--unsafe-sign-in", given="no-such-herons\n"
    )
    assert ran.json["schema"] == "posthouse.host/1"
    assert {it["reach"] for it in ran.json["visits"]} == {"open"}
    (tried,) = ran.json["attempts"]
    assert (tried["kind"], tried["ending"], tried["cause"]) == ("sign-in", "refused", "auth_failed")
    assert ran.json["verdict"]["explained"]["findings"][0]["cause"] == "auth_failed"
    assert ran.json["answer"]["ways"]
    assert "no-such-herons" not in ran.out + ran.err


def test_all_of_it_is_chinese_in_chinese(place: Place) -> None:
    ran = host(place, "--yes", "--relay", "--lang", "zh_Hans")
    words = shipped().wordings.words
    english = [text for key, text in words.items() if key.startswith("probe-") and "%" not in text]
    shown = ran.out + ran.err
    assert not [text for text in english if len(text) > 12 and text in shown]
    assert "将要做的事情如下" in ran.err
    assert "拒绝的含义" in ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("doctor", "host", "a b", "--yes"),
        ("doctor", "host", "127.0.0.1", "--yes", "--port", "gopher:70"),
        ("doctor", "host", "127.0.0.1", "--yes", "--port", "smtp:99999"),
        ("doctor", "host", "127.0.0.1", "--yes", "--to", "no address"),
        ("doctor", "host", "127.0.0.1", "--yes", "--dns", "nonsense"),
        ("doctor", "host", "127.0.0.1", "--yes", "--user", "ann", "--no-dns"),
        ("probe",),
        ("probe", "a", "--server", "b"),
        ("probe", "a", "--tls", "--no-tls"),
        ("settings", "ann"),
        ("settings", "ann@isp.example", "--client", "abacus"),
        ("doctor", "settings", "/no/such/file", "--host", "mail.isp.example"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_exit_code_2(arguments: tuple[str, ...]) -> None:
    ran = command(*arguments)
    assert ran.code == Exit.USAGE
    assert "Traceback" not in ran.err


def test_nothing_there_is_exit_code_4() -> None:
    ran = command("doctor", "host", "127.0.0.1", "--yes", "--no-dns", "--port", "smtp:1")
    assert ran.code == Exit.UNREACHABLE
    assert "From here there is no safe way" in ran.out
    ran = command("probe", "127.0.0.1", "--port", "1")
    assert ran.code == Exit.UNREACHABLE
    assert "connection refused" in ran.err


# ------------------------------------------------------------------ probe


def test_probe_shows_the_session_and_explains_the_refusal(place: Place) -> None:
    ran = command(
        "probe", "127.0.0.1", "-p", str(place.port("mx")), "--from", "x@y.example",
        "--to", "bob@elsewhere.example",
    )  # fmt: skip
    assert ran.code == Exit.NO
    assert " -> RCPT TO:<bob@elsewhere.example>" in ran.out
    assert " -> QUIT" in ran.out
    assert "DATA" not in ran.out
    assert "What the refusal means: Relaying denied" in ran.out


def test_probe_knows_the_options_of_swaks(place: Place) -> None:
    port = str(place.port("submission"))
    ran = command("probe", "--server", "127.0.0.1", "-p", port, "--tls", "--quit-after", "TLS")
    assert ran.code == Exit.DONE
    assert "=== TLSv1.3" in ran.out
    assert "MAIL" not in ran.out
    ran = command(
        "probe", "-s", "127.0.0.1", "-p", port, "--tls", "-au", ANN.name, "-q", "auth",
        "--unsafe-sign-in", given=f"{ANN.password}\n",
    )  # fmt: skip
    assert ran.code == Exit.DONE
    assert " -> AUTH PLAIN ********" in ran.out
    assert "<-  235 " in ran.out


def test_probe_says_no_password_where_it_is_not_safe(place: Place) -> None:
    port = str(place.port("submission"))
    ran = command("probe", "127.0.0.1", "-p", port, "-au", ANN.name, given=f"{ANN.password}\n")
    assert ran.code == Exit.NO
    assert "AUTH" not in ran.out.replace("250-AUTH", "")
    assert "*** TLS: " in ran.out
    ran = command(
        "probe", "127.0.0.1", "-p", port, "--no-tls", "-au", ANN.name, given=f"{ANN.password}\n"
    )
    assert "the password is not said" in ran.out


def test_probe_in_json_has_the_record(place: Place) -> None:
    ran = command(
        "probe", "127.0.0.1", "-p", str(place.port("mx")), "--to", "bob@elsewhere.example", "--json"
    )
    assert ran.json["schema"] == "posthouse.probe/1"
    assert ran.json["ended"]["accepted"] is False
    assert {"mark": ">", "text": "QUIT"} in ran.json["record"]
    assert ran.json["answer"]["cause"] == "relay_denied"


# ------------------------------------------------------------------ settings


def test_the_settings_of_our_own_server_come_from_its_configuration(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHOUSE_CONFIG", str(place.server.file))
    ran = command("settings", ANN.name, "--client", "thunderbird")
    assert ran.out.splitlines()[:2] == ["Thunderbird", "  Server Name: mail.proseware.com"]
    assert "  Connection security: SSL/TLS" in ran.out
    ran = command("settings", ANN.name, "--json")
    assert ran.json["schema"] == "posthouse.settings/1"
    assert {it["program"] for it in ran.json["programs"]} >= {"outlook", "k9", "any"}


def test_settings_of_another_server_and_in_chinese() -> None:
    ran = command("settings", "a@isp.example", "--host", "mail.isp.example", "--lang", "zh_Hans")
    assert ran.code == Exit.DONE
    assert "发送邮件服务器" in ran.out
    assert "mail.isp.example" in ran.out


@pytest.fixture
def name_server() -> Iterator[str]:
    """A name server whose zone names a server for submission."""
    zones = Zones()
    zones.put("_submission._tcp.isp.example", "SRV", "0 1 587 smtp.isp.example.")
    server, loop = ZoneServer(zones, "127.0.0.1"), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    yield f"127.0.0.1:{server.port}"
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_settings_that_a_domain_publishes_are_looked_up(name_server: str) -> None:
    ran = command("settings", "a@isp.example", "--look-up", "--dns", name_server, "--json")
    assert ran.json["outgoing"]["server"] == "smtp.isp.example"
    assert ran.json["outgoing"]["security"] == "STARTTLS"
    ran = command("settings", "a@other.example", "--look-up", "--dns", name_server)
    assert ran.code == Exit.NO
    assert "publishes no settings" in ran.err


def test_pasted_settings_are_compared_field_by_field() -> None:
    pasted = "Server Name: mail.isp.example\nPort: 25\nConnection security: None\n"
    ran = command(
        "doctor", "settings", "-", "--host", "mail.isp.example", "--address", "a@isp.example",
        given=pasted,
    )  # fmt: skip
    assert ran.code == Exit.NO
    rows = {line.split("  ")[0]: line for line in ran.out.splitlines()}
    assert rows["Server"].endswith("right")
    assert rows["Port"].endswith("wrong")
    assert "not found" in rows["User name"]
    ran = command("--json", "doctor", "settings", "-", "--host", "mail.isp.example", given=pasted)
    assert ran.json["schema"] == "posthouse.settings-comparison/1"


# ------------------------------------------------------------------ the group


@pytest.mark.parametrize(
    "arguments",
    [
        (RELAY,), ("--lang", "en", RELAY), (RELAY, "--json"), ("--json", RELAY), ("text", RELAY),
        ("--json", "text", RELAY),
    ],
    ids=str,
)  # fmt: skip
def test_an_error_is_still_the_first_argument(arguments: tuple[str, ...]) -> None:
    ran = command("doctor", *arguments)
    assert ran.code == Exit.DONE
    assert "relay_denied" in ran.out


def test_an_error_that_begins_like_a_command_is_an_error() -> None:
    ran = command("doctor", "host mx.example.net said: 554 5.7.1 Relay access denied")
    assert "relay_denied" in ran.out


def test_the_group_lists_its_commands() -> None:
    ran = command("doctor", "--help")
    assert all(name in ran.out for name in ("host", "settings", "text"))
    assert command("doctor", "--json", "host", "--help").out.startswith(
        "Usage: posthouse doctor host"
    )


def test_looking_at_hosts_needs_nothing_of_the_server() -> None:
    """The doctor must start quickly, and on machines where no server is."""
    before = set(sys.modules)
    assert command("doctor", RELAY).code == Exit.DONE
    assert not {it for it in set(sys.modules) - before if it.startswith("posthouse.server")}
