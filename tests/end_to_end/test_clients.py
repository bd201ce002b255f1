"""Mail programs of other makers against a running server: they must like what they meet."""

import poplib
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from posthouse.lab.clients import trusting_context
from posthouse.lab.hosts import wait_for
from tests.end_to_end.programs import needs, run
from tests.end_to_end.server import ANN, BOB, Server, configuration, running
from tests.end_to_end.sinks import Sink, sinking

pytestmark = [pytest.mark.peer, pytest.mark.slow]
FOREIGN = "carol@adatum.com"
MESSAGE = f"From: {ANN.name}\nTo: {FOREIGN}\nSubject: %s\n\nHello.\n"


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with sinking() as it:
        yield it


@pytest.fixture(scope="module")
def server(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text = configuration(via=f"smtp://127.0.0.1:{sink.port}")
    with running(tmp_path_factory.mktemp("clients"), text, ANN, BOB) as it:
        yield it


def arrived(sink: Sink, token: str) -> bool:
    return wait_for(lambda: any(token.encode() in mail.content for mail in sink.mails), 15)


def send_to_bob(server: Server, token: str) -> None:
    with smtplib.SMTP(*server.place("mx"), timeout=10) as client:
        client.sendmail("x@adatum.com", BOB.name, f"Subject: {token}\r\n\r\nHello.\r\n")
    assert wait_for(lambda: any(token.encode() in it for it in server.mailbox("bob")), 15)


def swaks(server: Server, listener: str, *more: str) -> tuple[int, str]:
    host, port = server.place(listener)
    common = ("--server", host, "--port", str(port), "--from", ANN.name, "--to", FOREIGN)
    return run("swaks", *common, "--timeout", "10", *more)


@needs("swaks")
def test_swaks_without_a_sign_in_is_refused(server: Server, sink: Sink) -> None:
    code, printed = swaks(server, "mx", "--header", "Subject: swaks-plain")
    assert code != 0
    assert "550" in printed
    assert "[not-recognised] case " in printed
    code, printed = swaks(server, "submission", "--header", "Subject: swaks-plain")
    assert code != 0
    assert "530" in printed
    assert not any(b"swaks-plain" in mail.content for mail in sink.mails)


@needs("swaks")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(("listener", "tls"), [("submission", "--tls"), ("submissions", "--tlsc")])
def test_swaks_signs_in_and_sends(
    server: Server, sink: Sink, mechanism: str, listener: str, tls: str
) -> None:
    token = f"swaks-{mechanism}-{listener}"
    sign_in = ("--auth", mechanism, "--auth-user", ANN.name, "--auth-password", ANN.password)
    code, printed = swaks(server, listener, tls, *sign_in, "--header", f"Subject: {token}")
    assert code == 0, printed
    assert arrived(sink, token)


@needs("swaks")
def test_swaks_with_a_wrong_password_is_told_so(server: Server) -> None:
    sign_in = ("--auth", "PLAIN", "--auth-user", BOB.name, "--auth-password", "wrong-password")
    code, printed = swaks(server, "submission", "--tls", *sign_in)
    assert code != 0
    assert "535 5.7.8" in printed


@needs("swaks")
def test_swaks_gets_no_auth_without_tls(server: Server) -> None:
    sign_in = ("--auth", "PLAIN", "--auth-user", ANN.name, "--auth-password", ANN.password)
    code, printed = swaks(server, "submission", *sign_in)
    assert code != 0
    assert ANN.password not in printed


@needs("curl")
@pytest.mark.parametrize(("scheme", "listener"), [("smtp", "submission"), ("smtps", "submissions")])
def test_curl_sends(server: Server, sink: Sink, scheme: str, listener: str, tmp_path: Path) -> None:
    host, port = server.place(listener)
    mail = tmp_path / "mail"
    mail.write_bytes((MESSAGE % f"curl-{scheme}").replace("\n", "\r\n").encode())
    code, printed = run(
        "curl", "-sS", "-k", "--max-time", "15", "--ssl-reqd", f"{scheme}://{host}:{port}/laptop",
        "--user", f"{ANN.name}:{ANN.password}", "--mail-from", ANN.name, "--mail-rcpt", FOREIGN,
        "--upload-file", str(mail),
    )  # fmt: skip
    assert (code, printed) == (0, "")
    assert arrived(sink, f"curl-{scheme}")


@needs("curl")
@pytest.mark.parametrize(("scheme", "listener"), [("pop3", "pop3"), ("pop3s", "pop3s")])
def test_curl_fetches(server: Server, scheme: str, listener: str) -> None:
    send_to_bob(server, f"for-curl-{scheme}")
    host, port = server.place(listener)
    common = ("curl", "-sS", "-k", "--max-time", "15", "--ssl-reqd",
              "--user", f"{BOB.name}:{BOB.password}")  # fmt: skip
    code, listing = run(*common, f"{scheme}://{host}:{port}/")
    assert code == 0, listing
    newest = listing.split()[-2]
    code, text = run(*common, f"{scheme}://{host}:{port}/{newest}")
    assert code == 0, text
    assert f"Subject: for-curl-{scheme}" in text


@needs("msmtp")
@pytest.mark.parametrize(("listener", "start"), [("submission", "on"), ("submissions", "off")])
def test_msmtp_sends(server: Server, sink: Sink, listener: str, start: str) -> None:
    host, port = server.place(listener)
    token = f"msmtp-{listener}"
    code, printed = run(
        "msmtp", "--file=/dev/null", f"--host={host}", f"--port={port}", "--tls=on",
        f"--tls-starttls={start}", "--tls-certcheck=off", "--auth=plain", f"--user={ANN.name}",
        f"--passwordeval=echo {ANN.password}", f"--from={ANN.name}", "--timeout=10", FOREIGN,
        given=MESSAGE % token,
    )  # fmt: skip
    assert code == 0, printed
    assert arrived(sink, token)


@needs("msmtp")
def test_msmtp_shows_the_person_why_it_was_refused(server: Server) -> None:
    host, port = server.place("mx")
    code, printed = run(
        "msmtp", "--file=/dev/null", f"--host={host}", f"--port={port}", "--tls=off",
        f"--from={ANN.name}", "--timeout=10", FOREIGN, given=MESSAGE % "msmtp-refused",
    )  # fmt: skip
    assert code != 0
    assert "[not-recognised] case " in printed


@needs("mpop")
@pytest.mark.parametrize(("listener", "start"), [("pop3", "on"), ("pop3s", "off")])
def test_mpop_fetches_into_a_mailbox_of_its_own(
    server: Server, listener: str, start: str, tmp_path: Path
) -> None:
    token = f"for-mpop-{listener}"
    send_to_bob(server, token)
    host, port = server.place(listener)
    settings = tmp_path / "mpoprc"
    settings.write_text(
        f"account default\nhost {host}\nport {port}\nuser {BOB.name}\n"
        f'passwordeval "echo {BOB.password}"\ntls on\ntls_starttls {start}\ntls_certcheck off\n'
        f"timeout 10\nauth on\nkeep on\ndelivery mbox {tmp_path}/fetched\n"
        f"uidls_file {tmp_path}/uidls\n"
    )
    settings.chmod(0o600)
    code, printed = run("mpop", f"--file={settings}")
    assert code == 0, printed
    assert f"Subject: {token}" in (tmp_path / "fetched").read_text()
    (tmp_path / "fetched").unlink()
    code, printed = run("mpop", f"--file={settings}")
    assert code == 0, printed
    again = tmp_path / "fetched"
    assert not again.exists() or not again.read_bytes(), "fetched twice: UIDLs changed"


def test_smtplib_and_poplib_understand_every_extension(server: Server, sink: Sink) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = ANN.name, FOREIGN, "smtplib"
    message.set_content("Grüße\n.\n..two dots\n")
    with smtplib.SMTP(*server.place("submission"), timeout=10) as client:
        client.starttls(context=trusting_context())
        client.login(ANN.name, ANN.password)
        assert {"size", "8bitmime", "pipelining", "enhancedstatuscodes"} <= set(
            client.esmtp_features
        )
        client.send_message(message, mail_options=["BODY=8BITMIME"])
    assert arrived(sink, "smtplib")
    send_to_bob(server, "poplib")
    box = poplib.POP3_SSL(*server.place("pop3s"), context=trusting_context(), timeout=10)
    box.user(BOB.name)
    box.pass_(BOB.password)
    count, _ = box.stat()
    lines = box.top(count, 0)[1]
    assert b"Subject: poplib" in lines
    assert len(box.uidl()[1]) == count
    assert {"UIDL", "TOP", "USER"} <= set(box.capa())
    box.dele(count)
    box.rset()
    box.quit()


@needs("openssl")
@pytest.mark.parametrize(
    ("listener", "start", "greeting"),
    [
        ("mx", "smtp", ""),
        ("submission", "smtp", ""),
        ("pop3", "pop3", ""),
        ("submissions", "", "220 mail.proseware.com"),
        ("pop3s", "", "+OK"),
    ],
)
def test_openssl_agrees_on_modern_tls(
    server: Server, listener: str, start: str, greeting: str
) -> None:
    host, port = server.place(listener)
    begin = ("-starttls", start) if start else ()
    code, printed = run(
        "openssl",
        "s_client",
        "-connect",
        f"{host}:{port}",
        *begin,
        "-crlf",
        "-ign_eof",
        given="QUIT\n",
    )
    assert code == 0, printed
    assert "TLSv1.3" in printed
    assert greeting in printed


@needs("openssl")
def test_openssl_gets_no_old_tls(server: Server) -> None:
    host, port = server.place("submissions")
    code, printed = run(
        "openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_1",
        "-cipher", "DEFAULT@SECLEVEL=0", given="QUIT\n",
    )  # fmt: skip
    assert code != 0, printed


@needs("nmap")
def test_nmap_finds_no_open_relay(server: Server) -> None:
    host, port = server.place("mx")
    code, printed = run(
        "nmap", "-Pn", "-p", str(port), "--script", "+smtp-open-relay",
        "--script-args", "smtp-open-relay.domain=proseware.com", host, seconds=60,
    )  # fmt: skip
    assert code == 0, printed
    assert "smtp-open-relay" in printed
    assert "isn't an open relay" in printed or "doesn't seem to be an open relay" in printed, (
        printed
    )
