"""Several processes share the work: from outside they are one server."""

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import pytest

from posthouse.lab.hosts import LabError, wait_for
from posthouse.server import requests
from posthouse.telemetry.case_file import CaseReader, Search
from tests.end_to_end.server import ANN, BOB, SIGNED_IN, Server, configuration, door, running
from tests.end_to_end.sinks import sinking
from tests.end_to_end.talking import Talk

pytestmark = pytest.mark.slow
FROM_HERE = door("network", networks='["127.0.0.0/8"]', sends_as='["*"]')
TRIES_MAX = 200
CONTENT = b"From: <x@proseware.com>\r\nSubject: %s\r\n\r\nHello.\r\n"


def sharing(*more: str, workers: int = 2, **keys: str) -> str:
    return configuration(*more, top=f"workers = {workers}", **keys)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, sharing(FROM_HERE), ANN, BOB) as it:
        yield it


def processes(server: Server) -> dict[int, int]:
    """The process of each worker that takes connections."""
    told = server.ask(requests.Status())["worker_processes"]
    found = (re.fullmatch(r"(\d+): (\d+)", it) for it in told)
    return {int(it[1]): int(it[2]) for it in found if it}


def send(server: Server, subject: str, to: str = "carol@adatum.com") -> str:
    """Send one mail over a connection of its own; return the id it got."""
    with Talk(server.place("mx")) as talk:
        talk.say("EHLO a.example")
        answer = talk.mail("x@proseware.com", to, content=CONTENT % subject.encode())
        assert answer.code == 250, answer
        found = re.search(r"\b[0-9A-Z]{11}\b", answer.text)
        assert found, answer
        return found[0]


def at_each(look: Callable[[], int], count: int = 2) -> None:
    """Do something again and again until every worker was met; it tells which it met."""
    met: set[int] = set()
    for _ in range(TRIES_MAX):
        met.add(look())
        if len(met) == count:
            return
    raise AssertionError(f"only workers {met} were met")


@contextmanager
def meeting(server: Server, place: str) -> Iterator[tuple[Talk, int]]:
    """Talk from an address that nobody else uses; tell with which worker."""
    before = sum(it["client"] == place for it in server.events("connected"))
    with Talk(server.place("mx"), place=place) as talk:
        talk.say("EHLO a.example")
        seen = server.wait_for_events("connected", before + 1, client=place)
        yield talk, int(seen[-1]["worker"])


def worker_of(message_id: str) -> int:
    return "0123456789".index(message_id[-1]) + 1


class Sent(dict[int, str]):
    """One id of each worker; `everything` has all of them."""

    everything: set[str]


def send_to_each(server: Server, count: int = 2, to: str = "carol@adatum.com") -> Sent:
    """Send until every worker has taken a mail."""
    ids = Sent()
    ids.everything = set()

    def one() -> int:
        message_id = send(server, "to each", to)
        ids.everything.add(message_id)
        ids[worker_of(message_id)] = message_id
        return worker_of(message_id)

    at_each(one, count)
    return ids


def wait_for_more(growing: list[str], count: int) -> None:
    enough = len(growing) + count
    assert wait_for(lambda: len(growing) >= enough, 20)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


# ------------------------------------------------------------ together


def test_two_workers_take_and_deliver_at_the_same_ports(server: Server) -> None:
    taken = len(send_to_each(server, to=BOB.name).everything)
    assert len(server.wait_for_mail("bob", taken)) == taken
    assert {it["worker"] for it in server.wait_for_events("accepted", taken)} == {1, 2}
    assert server.ask(requests.Status())["workers"] == 2


def test_queue_commands_cases_and_journeys_see_all_workers(tmp_path: Path) -> None:
    text = sharing(FROM_HERE, via="smtp://127.0.0.1:9")
    with running(tmp_path, text) as server:
        ids = send_to_each(server)
        everything = ids.everything
        server.wait_for_events("deferred", len(everything))
        listed = [it["id"] for it in server.ask(requests.QueueList())]
        assert set(listed) == everything
        assert listed == sorted(listed)
        page = server.ask(requests.QueueList(after=listed[0], limit=1))
        assert [it["id"] for it in page] == listed[1:2]
        summary = server.ask(requests.QueueSummary())
        assert summary["messages"] == len(everything)
        assert [it["destination"] for it in summary["destinations"]] == ["adatum.com"]
        assert summary["destinations"][0]["waiting"] == len(everything)
        for message_id in ids.values():
            assert server.ask(requests.QueueShow(message_id))["message"]["id"] == message_id
            assert server.ask(requests.QueueHold(id=message_id)) is True
        assert {it["id"] for it in server.held()} == set(ids.values())
        assert server.ask(requests.Status())["held"] == 2
        for message_id in ids.values():
            assert server.ask(requests.QueueDrop(id=message_id)) is True
        with pytest.raises(LabError, match="no message"):
            server.ask(requests.QueueDrop(id=ids[1]))
        found = server.ask(requests.Journey("carol@adatum.com"))["messages"]
        assert {it["id"] for it in found} == everything
        server.ask(requests.QueuePause("adatum.com", "for the test"))
        assert [it["destination"] for it in server.ask(requests.QueueSummary())["paused"]] == [
            "adatum.com"
        ]
        assert server.ask(requests.QueueResume("adatum.com")) is True
        reader = CaseReader(server.storage / "cases.db")
        by_message = {it.message_id for it in reader.search(Search(limit=1000))}
        reader.close()
        assert by_message >= everything


def test_one_connection_to_the_control_socket_follows_the_decisions_of_all(server: Server) -> None:
    stream = server.follow(requests.DecisionsTail())
    met: set[str] = set()
    for _ in range(TRIES_MAX):
        message_id = send(server, "followed")
        if message_id[-1] in met:
            continue
        assert any(it.get("message_id") == message_id for it in stream)
        met.add(message_id[-1])
        if len(met) == 2:
            break
    assert met == {"0", "1"}
    stream.close()


# ------------------------------------------------------------ what they share


def test_a_pop_sign_in_at_one_worker_opens_relaying_at_all_at_once(tmp_path: Path) -> None:
    with running(tmp_path, sharing(door("pop-window", window='"10 min"')), ANN) as server:

        def relays() -> tuple[int, int]:
            with meeting(server, "127.0.0.9") as (talk, worker):
                talk.say(f"MAIL FROM:<{ANN.name}>")
                return talk.say("RCPT TO:<carol@adatum.com>").code, worker

        def is_refused() -> int:
            code, worker = relays()
            assert code in {550, 551, 554}
            return worker

        at_each(is_refused)
        server.fetch(ANN, place="127.0.0.9")

        def is_taken() -> int:
            code, worker = relays()
            assert code == 250
            return worker

        at_each(is_taken)


def test_failed_sign_ins_are_counted_together(tmp_path: Path) -> None:
    limits = 'failed_sign_ins = "6 per 10 min"'
    with running(tmp_path, sharing(SIGNED_IN, limits=limits), ANN) as server:
        wrong = type(ANN)(ANN.name, "not-the-password")
        for _ in range(6):
            with Talk(server.place("submissions"), tls=True) as talk:
                talk.say("EHLO a.example")
                assert talk.sign_in(wrong).code == 535
        for _ in range(20):  # the right password, and locked out at whichever worker
            with Talk(server.place("submissions"), tls=True) as talk:
                talk.say("EHLO a.example")
                assert talk.sign_in(ANN).code != 235
        assert {it["worker"] for it in server.wait_for_events("sign-in-failed", 26)} == {1, 2}


def test_budgets_are_one_for_all_workers(tmp_path: Path) -> None:
    budget = '\n[limits.each_address]\nrecipients = "15 per hour"\n'
    with running(tmp_path, sharing(FROM_HERE + budget)) as server:
        codes = []
        for number in range(40):
            with Talk(server.place("mx")) as talk:
                talk.say("EHLO a.example")
                content = CONTENT % f"number {number}".encode()
                codes.append(talk.mail("x@proseware.com", "c@adatum.com", content=content).code)
        assert codes.count(250) == 15, "no lease is open between two messages"
        assert {it["worker"] for it in server.wait_for_events("accepted", 15)} == {1, 2}


def test_sessions_from_an_address_are_counted_together(tmp_path: Path) -> None:
    text = sharing(FROM_HERE).replace("sessions_per_address = 200", "sessions_per_address = 5")
    with running(tmp_path, text) as server, ExitStack() as stack:
        greetings = [stack.enter_context(Talk(server.place("mx"))).greeting.code for _ in range(12)]
        assert greetings == [220] * 5 + [421] * 7


# ------------------------------------------------------------ ends and beginnings


def test_a_killed_worker_begins_again_and_nothing_accepted_is_lost(tmp_path: Path) -> None:
    with sinking() as sink:
        text = sharing(FROM_HERE, via=f"smtp://127.0.0.1:{sink.port}")
        with running(tmp_path, text) as server:
            promised: list[str] = []
            enough = threading.Event()

            def sender(name: int) -> None:
                count = 0
                while not enough.is_set():
                    try:
                        with Talk(server.place("mx")) as talk:
                            talk.say("EHLO a.example")
                            while not enough.is_set():
                                count += 1
                                token = f"token-{name}-{count}."
                                content = CONTENT % token.encode()
                                to = "carol@adatum.com"
                                if talk.mail("x@proseware.com", to, content=content).code != 250:
                                    break
                                promised.append(token)
                    except OSError:
                        continue

            threads = [threading.Thread(target=sender, args=(it,)) for it in range(4)]
            for thread in threads:
                thread.start()
            try:
                for number in (1, 2, 1):
                    wait_for_more(promised, 20)
                    killed = processes(server)[number]
                    os.kill(killed, signal.SIGKILL)
                    server.wait_for_events("worker-ended", process=str(killed))
                    wait_for_more(promised, 5)
                    assert wait_for(lambda: len(processes(server)) == 2, 20)
            finally:
                enough.set()
                for thread in threads:
                    thread.join(20)
            server.ask(requests.QueueRetry())

            def missing() -> set[str]:
                arrived = b"\0".join(it.content[:500] for it in list(sink.mails))
                return {it for it in promised if f"Subject: {it}\r\n".encode() not in arrived}

            wait_for(lambda: not missing(), 30)
            assert not missing()


def test_connections_that_wait_for_a_dead_worker_are_served(server: Server) -> None:
    victim = processes(server)[2]
    os.kill(victim, signal.SIGSTOP)  # it takes no connections, and they wait
    with ExitStack() as stack:
        talks = [stack.enter_context(_Knocking(server.place("mx"))) for _ in range(30)]
        os.kill(victim, signal.SIGKILL)
        assert {it.greeting() for it in talks} == {b"220"}


class _Knocking:
    """A connection whose greeting is read later."""

    def __init__(self, place: tuple[str, int]) -> None:
        self._socket = socket.create_connection(place, 15)

    def greeting(self) -> bytes:
        return self._socket.recv(3)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_a_spool_whose_worker_cannot_begin_again_is_taken_over(tmp_path: Path) -> None:
    text = sharing(FROM_HERE, via="smtp://127.0.0.1:9")
    with running(tmp_path, text) as server:
        everything = send_to_each(server).everything
        server.wait_for_events("deferred", len(everything))
        victim = processes(server)[2]
        os.kill(victim, signal.SIGSTOP)
        for path in server.storage.glob("cases-2.db*"):
            path.write_bytes(b"garbage" * 1000)
        os.kill(victim, signal.SIGKILL)
        assert wait_for(lambda: not (server.storage / "spool-2").exists(), 30), server.log()
        assert {it["id"] for it in server.ask(requests.QueueList())} == everything
        for path in server.storage.glob("cases-2.db*"):
            path.unlink()
        assert wait_for(lambda: len(processes(server)) == 2, 40)
        send_to_each(server)


def test_no_worker_survives_the_supervisor_and_a_new_one_starts_at_once(server: Server) -> None:
    processes_of_it = children(server)
    server.kill()
    assert wait_for(lambda: not any(map(is_running, processes_of_it)), 10)
    server.start()
    send_to_each(server, to=BOB.name)


def test_sigterm_ends_all_of_them_after_their_transactions(server: Server) -> None:
    processes_of_it = children(server)
    talk = Talk(server.place("mx"))
    talk.say("EHLO a.example")
    talk.say("MAIL FROM:<x@proseware.com>")
    talk.say(f"RCPT TO:<{BOB.name}>")
    talk.say("DATA")
    server.signal(signal.SIGTERM)
    wait_for(lambda: server.events("connected"), 1)
    assert talk.say(CONTENT % b"the end" + b"\r\n.").code == 250
    talk.close()
    assert server.wait_ended() == 0
    assert not any(map(is_running, processes_of_it))
    server.stop()
    server.start()
    assert len(server.wait_for_mail("bob")) == 1


def test_sighup_reloads_all_and_a_broken_file_changes_none(server: Server) -> None:
    good = server.file.read_text()
    server.file.write_text("hostname = ")
    server.signal(signal.SIGHUP)
    server.wait_for_events("reload-failed")
    os.kill(processes(server)[2], signal.SIGKILL)  # it begins again with what is in force
    assert wait_for(lambda: len(server.events("worker-started")) == 3, 20)
    server.file.write_text(good + '\n[refusals.wording]\nrecipient-unknown = "gone fishing"\n')
    server.ask(requests.Reload())

    def says_it_in_these_words() -> int:
        with meeting(server, "127.0.0.3") as (talk, worker):
            talk.say("MAIL FROM:<x@adatum.com>")
            assert "gone fishing" in talk.say("RCPT TO:<nobody@proseware.com>").text
            return worker

    at_each(says_it_in_these_words)
    server.file.write_text(good.replace("workers = 2", "workers = 3"))
    with pytest.raises(LabError, match="workers cannot change"):
        server.ask(requests.Reload())
    server.file.write_text(good)


def test_a_reload_that_cannot_be_kept_is_told_and_changes_nothing(server: Server) -> None:
    place = server.storage / "workers" / "configuration.new"
    place.mkdir()  # nothing can be written there, like on a disk without room
    with pytest.raises(LabError, match="cannot be written"):
        server.ask(requests.Reload())
    server.signal(signal.SIGHUP)
    server.wait_for_events("reload-failed", 2)
    place.rmdir()
    server.ask(requests.Reload())


def test_a_foreign_file_where_the_workers_meet_is_named(tmp_path: Path) -> None:
    server = Server(tmp_path, sharing(FROM_HERE))
    (server.storage / "workers").write_text("a person's")
    with pytest.raises(LabError, match="workers cannot be made: File exists"):
        server.start()
    server.stop()
    assert "this is a bug" not in server.log()


def test_mail_of_workers_that_are_no_more_is_delivered_after_a_restart(tmp_path: Path) -> None:
    more = sharing(FROM_HERE, workers=3, via="smtp://127.0.0.1:9")
    with running(tmp_path, more) as server, sinking() as sink:
        everything = send_to_each(server, count=3).everything
        server.wait_for_events("deferred", len(everything))
        held = next(it for it in everything if it.endswith("2"))
        server.ask(requests.QueueHold(id=held))
        server.kill()
        via = f"smtp://127.0.0.1:{sink.port}"
        server.file.write_text(sharing(FROM_HERE, workers=1, via=via))
        server.start()
        assert wait_for(lambda: not list(server.storage.glob("spool-*")), 20), server.log()
        assert [it["id"] for it in server.held()] == [held]
        server.ask(requests.QueueRelease(id=held))
        server.ask(requests.QueueRetry())
        assert wait_for(lambda: len(sink.mails) >= len(everything), 20)
        assert len(server.ask(requests.QueueShow(held))["journey"]) > 2
        reader = CaseReader(server.storage / "cases.db")
        known = {it.message_id for it in reader.search(Search(limit=1000))}
        reader.close()
        assert known >= everything


def test_storage_of_one_process_serves_several_and_back(tmp_path: Path) -> None:
    with running(tmp_path, sharing(FROM_HERE, workers=1), BOB) as server:
        send(server, "before", BOB.name)
        server.wait_for_mail("bob")
        server.stop()
        server.file.write_text(sharing(FROM_HERE))
        server.start()
        taken = 1 + len(send_to_each(server, to=BOB.name).everything)
        server.stop()
        server.file.write_text(sharing(FROM_HERE, workers=1))
        server.start()
        assert len(server.wait_for_mail("bob", taken)) == taken


# ------------------------------------------------------------ how many


@contextmanager
def processors(count: int) -> Iterator[None]:
    """Let what is started meanwhile use so many processors."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_of_them)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_there_are_as_many_as_processors_and_mail_stays_when_there_are_fewer(
    tmp_path: Path,
) -> None:
    text = configuration(FROM_HERE, via="smtp://127.0.0.1:9")
    with processors(2), running(tmp_path, text) as server:
        everything = send_to_each(server).everything
        server.wait_for_events("deferred", len(everything))
        server.stop()
        with processors(1):
            server.start()
        assert wait_for(lambda: not (server.storage / "spool-2").exists(), 20), server.log()
        assert {it["id"] for it in server.ask(requests.QueueList())} == everything
        status = server.ask(requests.Status())
        assert (status["workers"], "worker_processes" in status) == (1, False)


# ------------------------------------------------------------ what they are copied from


def children(server: Server) -> set[int]:
    """The workers, and the mould."""
    place = Path(f"/proc/{server.process_id}/task/{server.process_id}/children")
    return set(map(int, place.read_text().split()))


def shares_memory(process: int) -> bool:
    told = Path(f"/proc/{process}/smaps_rollup").read_text()
    sizes = dict(re.findall(r"(\w+): +(\d+) kB", told))
    return int(sizes["Pss_Anon"]) < 0.9 * int(sizes["Anonymous"])


def replaced(server: Server, number: int) -> int:
    """Kill a worker; return the process that came for it."""
    killed = processes(server)[number]
    os.kill(killed, signal.SIGKILL)
    server.wait_for_events("worker-ended", process=str(killed))
    assert wait_for(lambda: len(processes(server)) == 2, 20), server.log()
    assert processes(server)[number] in children(server)
    return processes(server)[number]


def test_workers_share_memory_also_those_that_came_for_another(server: Server) -> None:
    assert all(map(shares_memory, processes(server).values()))
    for number in (1, 2):
        assert shares_memory(replaced(server, number))
    send_to_each(server, to=BOB.name)
    assert len(children(server)) == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_without_a_mould_a_worker_is_started_from_its_files(server: Server, number: int) -> None:
    (mould,) = children(server) - set(processes(server).values())
    os.kill(mould, number)
    for _ in range(2):
        assert not shares_memory(replaced(server, 2))
    send_to_each(server, to=BOB.name)
    server.stop()
    assert not is_running(mould)


def test_all_are_replaced_when_all_were_killed_at_once(server: Server) -> None:
    before = processes(server)
    for process in before.values():
        os.kill(process, signal.SIGKILL)
    server.wait_for_events("worker-ended", 2)
    assert wait_for(lambda: len(server.events("worker-started")) == 4, 20)
    assert not set(processes(server).values()) & set(before.values())
    send_to_each(server, to=BOB.name)
