"""A wrong file, a taken port, a bad disk: one clear message, exit code 3 or 4, nothing lost."""

import contextlib
import os
import pwd
import shutil
import smtplib
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posthouse.lab.hosts import LabError, wait_for
from posthouse.server.requests import QueueList, QueueRetry, Status
from tests.cli.commands import command
from tests.end_to_end.server import ANN, BOB, SIGNED_IN, Server, configuration, door, running
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import Talk, signed_in

pytestmark = pytest.mark.slow
CONTENT = b"From: <ann@proseware.com>\r\nSubject: %s\r\n\r\nHello.\r\n"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root with setpriv can run a server as somebody else",
)


def refused_start(file: Path, *before: str) -> tuple[int, str]:
    """Start a server that should not start; its exit code and what it said."""
    done = subprocess.run(
        [*before, sys.executable, "-m", "posthouse", "--config", str(file), "--json", "serve"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("posthouse: ")
    return done.returncode, done.stderr


def refused_here(file: Path) -> tuple[int, str]:
    """The same in this process, for what is refused before anything is opened."""
    ran = command("--config", str(file), "--json", "serve")
    assert ran.out == ""
    assert "Traceback" not in ran.err
    return ran.code, ran.err


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "posthouse.toml").write_text(configuration(SIGNED_IN))
    (tmp_path / "storage").mkdir()
    return tmp_path / "posthouse.toml"


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which a server has run, and one message lies in Ann's mailbox."""
    directory = tmp_path_factory.mktemp("used")
    with running(directory, configuration(SIGNED_IN), ANN) as server:
        with Talk(server.place("mx")) as talk:
            talk.say("EHLO a.example")
            assert talk.mail("x@adatum.com", ANN.name, content=CONTENT % b"x").code == 250
        server.wait_for_mail("ann")
    (directory / "log").unlink()
    return directory


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("hostname", "hostnme"), "hostname"),
        (('"127.0.0.1:0"', '"127.0.0.1:99999"'), "99999"),
        (('service = "smtp"', 'service = "smpt"'), 'did you mean "smtp"'),
        (('who = "signed-in"', 'who = "everybody"'), "there is no door for everybody"),
        (('[domains."proseware.com"]', '[domains."proseware..com"]'), "proseware..com"),
        (('stop_wait = "3 s"', 'stop_wait = "3 parsecs"'), "parsecs"),
        (("[storage]", "[storage"), "posthouse.toml:"),
        (('directory = "storage"', "directory = 7"), "directory"),
        (("[log]", '[tls]\ncertificate = "nosuch.pem"\nkey = "nosuch.pem"\n[log]'), "nosuch.pem"),
        (('hostname = "mail', 'user = "no-such-user"\nhostname = "mail'), "no-such-user"),
    ],
)
def test_a_wrong_configuration_is_exit_code_3(
    file: Path, change: tuple[str, str], words: str
) -> None:
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(*change, 1))
    if "no-such-user" in words and os.geteuid() != 0:
        pytest.skip("only root gives root up")
    code, said = refused_here(file)
    assert code == 3
    assert words in said


def test_all_errors_are_told_at_once(file: Path) -> None:
    text = file.read_text().replace("service = ", "servise = ").replace("level", "levle")
    file.write_text(text)
    code, said = refused_here(file)
    assert code == 3
    assert said.count("error[") >= 6


def test_a_file_that_is_no_text_or_not_there_is_exit_code_3(file: Path) -> None:
    file.write_bytes(b"\x00\xff\xfe" * 100)
    assert refused_here(file)[0] == 3
    file.unlink()
    code, said = refused_here(file)
    assert (code, "cannot read" in said) == (3, True)
    file.mkdir()
    assert refused_here(file)[0] == 3


def test_a_taken_port_is_exit_code_4_and_named(file: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        file.write_text(file.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}", 1))
        code, said = refused_start(file)
    assert code == 4
    assert f"port {port} on 127.0.0.1 (listener mx) is taken" in said


def test_a_storage_directory_that_is_a_file_is_exit_code_4(file: Path) -> None:
    (file.parent / "storage").rmdir()
    (file.parent / "storage").touch()
    code, said = refused_start(file)
    assert (code, "is not a directory" in said) == (4, True)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that other users may reach; pytest's own are for this user alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "storage").mkdir()
        (Path(name) / "posthouse.toml").write_text(configuration(SIGNED_IN))
        yield Path(name)


@as_root
@pytest.mark.parametrize("mode", [0o000, 0o500, 0o700, 0o555])
def test_a_storage_directory_of_somebody_else_is_exit_code_4(open_place: Path, mode: int) -> None:
    (open_place / "storage").chmod(mode)
    code, said = refused_start(open_place / "posthouse.toml", *NOBODY)
    assert code == 4
    assert "cannot be read and written by this user" in said


@as_root
@pytest.mark.parametrize("name", ["accounts.db", "cases.db", "spool/spool.db", "tls"])
def test_a_part_of_the_storage_that_belongs_to_somebody_else_is_exit_code_4(
    used: Path, open_place: Path, name: str
) -> None:
    storage = open_place / "storage"
    shutil.copytree(used, open_place, dirs_exist_ok=True)
    open_place.chmod(0o755)
    for path in (storage, *storage.rglob("*")):
        os.chown(path, 65534, 65534)
    for path in (storage / name, *(storage / name).rglob("*")):
        os.chown(path, 0, 0)
        path.chmod(0o700 if path.is_dir() else 0o600)
    code, said = refused_start(open_place / "posthouse.toml", *NOBODY)
    assert code == 4
    assert Path(name).name in said
    assert len(said.strip().splitlines()) == 1


@as_root
def test_a_privileged_port_without_root_is_exit_code_4(open_place: Path) -> None:
    file = open_place / "posthouse.toml"
    limit = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if limit <= 25:
        pytest.skip("here anybody may open port 25")
    file.write_text(file.read_text().replace("127.0.0.1:0", "127.0.0.1:25", 1))
    os.chown(file.parent / "storage", 65534, 65534)
    code, said = refused_start(file, *NOBODY)
    assert (code, "may only be opened by root" in said) == (4, True)


def overwrite(path: Path) -> None:
    path.write_bytes(b"garbage" * 2000)


def damage_pages(path: Path) -> None:
    octets = path.read_bytes()
    path.write_bytes(octets[:100] + b"\xff" * (len(octets) - 100))


def another_version(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as opened:
        opened.execute("PRAGMA user_version = 999")
        opened.commit()


@pytest.mark.parametrize("name", ["accounts.db", "cases.db", "spool/spool.db"])
@pytest.mark.parametrize("damage", [overwrite, damage_pages, another_version])
def test_a_damaged_store_is_named_and_left_as_it_is(
    used: Path, file: Path, name: str, damage: Callable[[Path], None]
) -> None:
    shutil.copytree(used, file.parent, dirs_exist_ok=True)
    path = file.parent / "storage" / name
    damage(path)
    before = path.read_bytes()
    code, said = refused_start(file)
    assert code == 4
    assert path.name in said
    assert len(said.strip().splitlines()) == 1
    assert path.read_bytes() == before
    assert len(list((file.parent / "storage/mail/proseware.com/ann/new").iterdir())) == 1


def start(server: Server) -> str:
    """Start it; why not, if not."""
    try:
        server.start()
    except LabError as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize("name", ["accounts.db", "cases.db", "usage.db", "spool/spool.db"])
def test_damage_deep_in_a_store_is_told_and_no_mail_is_promised_that_is_lost(
    used: Path, file: Path, name: str
) -> None:
    """Whether it is found at the start or later, there is a sentence, and never a bug."""
    shutil.copytree(used, file.parent, dirs_exist_ok=True)
    path = file.parent / "storage" / name
    octets = path.read_bytes()
    path.write_bytes(octets[:4096] + b"\xff" * (len(octets) - 4096))
    server = Server(file.parent, file.read_text())
    if "did not start" in (said := start(server)):
        assert path.name in said
        assert "a bug in Posthouse" not in said
        return
    try:
        with Talk(server.place("mx")) as talk:
            talk.say("EHLO a.example")
            code = talk.mail("x@adatum.com", ANN.name, content=CONTENT % b"x").code
            assert code in {250, 451, 452, 550}
        if code == 250:
            server.wait_for_mail("ann", 2)
    finally:
        server.stop()
    assert not server.events("bug-met"), server.events("bug-met")


def test_lost_pop_sign_ins_close_their_door_and_no_other(file: Path) -> None:
    text = configuration(SIGNED_IN, door("pop-window"))
    (file.parent / "storage" / "sign-ins.db").write_bytes(b"garbage" * 2000)
    with running(file.parent, text, ANN, BOB) as server:
        assert "sign-ins.db" in str(server.ask(Status())["problems"])
        with signed_in(server.place("submissions"), ANN) as talk:
            assert talk.mail(ANN.name, ANN.name, content=CONTENT % b"x").code == 250
        server.fetch(BOB)
        with Talk(server.place("mx")) as talk:
            talk.say("EHLO a.example")
            assert talk.say(f"MAIL FROM:<{BOB.name}>").code == 250
            answer = talk.say("RCPT TO:<carol@adatum.com>")
            assert (answer.code, "recognition-unreadable" in answer.text) == (451, True)
            assert talk.say(f"RCPT TO:<{ANN.name}>").code == 250


def test_what_was_seen_of_watched_names_may_be_garbage(file: Path) -> None:
    (file.parent / "storage" / "watched.json").write_bytes(b"\xffgarbage" * 2000)
    with running(file.parent, file.read_text(), ANN) as server:
        assert server.ask(Status())["problems"] == []


def test_a_damaged_maildir_loses_nothing(file: Path) -> None:
    mail = file.parent / "storage" / "mail" / "proseware.com"
    for folder in ("new", "cur", "tmp"):
        (mail / "ann" / folder).mkdir(parents=True)
    (mail / "ann" / "new" / "1.binary").write_bytes(bytes(range(256)) * 100)
    (mail / "ann" / "new" / "2.empty").touch()
    (mail / "ann" / "new" / "3.lf-only").write_bytes(b"Subject: lf\n\n.\n..\nHello")
    (mail / "ann" / "cur" / "bad\xffname:2,S").write_bytes(b"Subject: name\r\n\r\nx\r\n")
    (mail / "ann" / "new" / "a directory").mkdir()
    (mail / "ann" / "new" / "link").symlink_to("/etc/passwd")
    (mail / "ann" / "new" / "dead-link").symlink_to("/nosuch")
    for each in mail.glob("ann/posthouse*"):
        each.write_bytes(b"garbage")
    (mail / "ann" / "posthouse-uidl").write_bytes(b"\xff\x00garbage\n" * 10)
    (mail / "bob").mkdir()
    (mail / "bob" / "new").touch()  # a file where a directory belongs
    with running(file.parent, file.read_text(), ANN, BOB) as server:
        fetched = server.fetch(ANN)
        assert len([it for it in fetched if "Subject: lf" in it]) == 1
        assert not any("root:" in it for it in fetched)
        with Talk(server.place("mx")) as talk:
            talk.say("EHLO a.example")
            answer = talk.mail("x@adatum.com", ANN.name, BOB.name, content=CONTENT % b"late")
            assert answer.code == 250
        assert wait_for(lambda: any("Subject: late" in it for it in server.fetch(ANN)), 10)
        server.wait_for_events("deferred", forward_path=BOB.name)
        with pytest.raises(Exception, match=r"-ERR"):
            server.fetch(BOB)
        (waiting,) = server.ask(QueueList())
        assert "mailbox" in str(waiting["recipients"])
        (mail / "bob" / "new").unlink()

        server.ask(QueueRetry())
        server.wait_for_mail("bob")


@contextlib.contextmanager
def small_disk(path: Path, kibibytes: int) -> Iterator[None]:
    """Mount a file system of its own, or skip where that is not allowed."""
    path.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k,mode=700", "tmpfs", str(path)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True, timeout=10)


def fill(path: Path) -> Path:
    """Leave no room at all; return the file that takes it."""
    filler = path / "filler"
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 65536)
        with contextlib.suppress(OSError):
            while True:
                file.write(b"x")
    return filler


def test_a_full_disk_takes_no_mail_loses_none_and_recovers(file: Path) -> None:
    with small_disk(file.parent / "storage", 40_000), sinking(Sink()) as sink:
        text = configuration(SIGNED_IN, via=f"smtp://127.0.0.1:{sink.port}")
        file.write_text(text)
        sink.script = {"MAIL": "451 4.3.0 not now"}
        promised: list[bytes] = []
        with running(file.parent, text, ANN, BOB) as server:
            with signed_in(server.place("submissions"), ANN) as talk:
                content = CONTENT % b"before"
                assert talk.mail(ANN.name, "carol@adatum.com", content=content).code == 250
                promised.append(b"before")
            filler = fill(server.storage)
            codes = []
            for number in range(40):
                token = b"full-%d" % number
                with Talk(server.place("mx")) as talk:
                    talk.say("EHLO a.example")
                    answer = talk.mail("x@adatum.com", BOB.name, content=CONTENT % token)
                codes.append(answer.code)
                if answer.code == 250:
                    promised.append(token)
            assert codes[-1] in {451, 452}, codes
            assert set(codes) <= {250, 451, 452}, codes
            assert server.ask(QueueList()) is not None
            filler.unlink()

            def taken_again() -> bool:
                with Talk(server.place("mx")) as talk:
                    talk.say("EHLO a.example")
                    content = CONTENT % b"after"
                    return talk.mail("x@adatum.com", BOB.name, content=content).code == 250

            recovered = wait_for(taken_again, 10)
            if not recovered:  # it asks for a restart
                server.stop()
                server.start()
                assert wait_for(taken_again, 10), server.log()[-3000:]
            sink.script = {}

            server.ask(QueueRetry())

            def missing() -> list[bytes]:
                arrived = b"".join([mail.content for mail in sink.mails] + server.mailbox("bob"))
                return [it for it in promised if b"Subject: %s\r\n" % it not in arrived
                        and b"Subject: %s\n" % it not in arrived]  # fmt: skip

            assert wait_for(lambda: not missing(), 15), missing()
            assert any(b"Subject: after" in it for it in server.mailbox("bob"))


def test_a_disk_that_is_full_at_the_start_is_exit_code_4(file: Path) -> None:
    with small_disk(file.parent / "storage", 8_000):
        fill(file.parent / "storage")
        code, said = refused_start(file)
    assert (code, "is full" in said) == (4, True)


def test_a_client_that_vanishes_in_the_middle_leaves_nothing(file: Path) -> None:
    with running(file.parent, file.read_text(), ANN) as server:
        for _ in range(20):
            client = smtplib.SMTP(*server.place("mx"), timeout=10)
            client.ehlo()
            client.mail("x@adatum.com")
            client.rcpt(ANN.name)
            client.docmd("DATA")
            client.send(b"Subject: half\r\n\r\n" + b"x" * 400_000)
            client.close()
        assert wait_for(lambda: not list(server.storage.glob("spool*/**/*.part")), 5)
        assert server.ask(QueueList()) == []
        assert server.mailbox("ann") == []


def test_two_servers_do_not_share_a_storage(file: Path) -> None:
    with running(file.parent, file.read_text(), ANN) as server:
        code, said = refused_start(file)
        assert code == 4
        assert "another Posthouse" in said
        assert str(server.process_id) in said


@as_root
def test_only_root_and_the_server_s_group_may_ask_the_server(open_place: Path) -> None:
    with running(open_place, configuration(SIGNED_IN), ANN):
        (open_place / "storage").chmod(0o755)
        done = subprocess.run(
            [*NOBODY, sys.executable, "-m", "posthouse", "--config",
             str(open_place / "posthouse.toml"), "status"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 6
    assert "may only be used by root and the server's own group" in done.stderr


@as_root
def test_root_is_given_up_once_the_ports_are_open(open_place: Path) -> None:
    with running(open_place, configuration(SIGNED_IN, top='user = "nobody"'), ANN) as server:
        status = Path(f"/proc/{server.process_id}/status").read_text()
        uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        assert set(uids) == {str(pwd.getpwnam("nobody").pw_uid)}
        with signed_in(server.place("submissions"), ANN) as talk:
            assert talk.mail(ANN.name, ANN.name, content=CONTENT % b"as-nobody").code == 250
        server.wait_for_mail("ann")
        server.add_account(BOB)  # as root's command line does
        with signed_in(server.place("submissions"), BOB) as talk:
            assert talk.mail(BOB.name, ANN.name, content=b"From: bob@proseware.com\r\n\r\nx").code
        server.wait_for_mail("ann", 2)


def test_a_storage_that_is_taken_away_promises_nothing(file: Path) -> None:
    with running(file.parent, file.read_text(), ANN) as server:
        spools = list(server.storage.glob("spool*"))
        for spool in spools:
            spool.rename(file.parent / spool.name)
        large = b"x" * 70 + (b"\r\n" + b"y" * 70) * 5000
        for content in (CONTENT % b"small", CONTENT % b"large" + large):
            with Talk(server.place("mx")) as talk:
                talk.say("EHLO a.example")
                answer = talk.mail("x@adatum.com", ANN.name, content=content)
                assert answer.code in {451, 452}, answer
        assert server.mailbox("ann") == []
        for spool in spools:
            (file.parent / spool.name).rename(spool)
        with Talk(server.place("mx")) as talk:
            talk.say("EHLO a.example")
            assert talk.mail("x@adatum.com", ANN.name, content=CONTENT % b"back").code == 250
        server.wait_for_mail("ann")
