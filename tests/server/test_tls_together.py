"""What workers learn of TLS with other servers: counted in one place, held to by all."""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from posthouse.accounts.notices import Board, open_board
from posthouse.delivery.mta_sts import Mode, Policy
from posthouse.delivery.next_hosts import Host
from posthouse.delivery.sts_policies import Kept, StsPolicies
from posthouse.delivery.tls_results import TlsResults
from posthouse.delivery.tls_terms import OURS, Assurance, Basis, Trouble
from posthouse.dns.answers import NoSuchName, TextResult, TlsaRecord
from posthouse.server.crew import Worker
from posthouse.server.protection import share_policies, watcher_of
from posthouse.wire.https import Page

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOST = Host("mx.adatum.com", ip_address("192.0.2.25"), 25)
STS = Assurance(Basis.STS, policy=Policy(Mode.ENFORCE, ("*.adatum.com",), timedelta(days=1)))
DANE = Assurance(Basis.DANE, records=(TlsaRecord(3, 1, 1, b"\x00\xff" * 16),), names=("a", "b"))


def test_the_first_worker_counts_what_others_saw_as_if_it_had(tmp_path: Path) -> None:
    at = [NOON]
    handle = open_board()
    boards = [Board(handle, "this run", origin) for origin in (1, 2)]
    results = [TlsResults(tmp_path / f"{it}.json", now=lambda: at[0]) for it in ("a", "b")]
    alone = TlsResults(tmp_path / "alone.json", now=lambda: at[0])
    first, second = (
        watcher_of(Worker(number, 2, board), mine)
        for number, board, mine in zip((1, 2), boards, results, strict=True)
    )
    for assurance, trouble in ((STS, None), (DANE, Trouble.EXPIRED), (OURS, None)):
        first.note("adatum.com", HOST, assurance, trouble, "words")
        second.note("adatum.com", HOST, assurance, trouble, "words")
        for _ in range(2):
            alone.note("adatum.com", HOST, assurance, trouble, "words")
    boards[0].pull()
    at[0] += timedelta(days=1)
    assert results[0].finished() == alone.finished()
    assert results[0].finished()
    assert not results[1].finished(), "it reports nothing itself"
    os.close(handle)


def test_a_worker_that_is_alone_counts_for_itself(tmp_path: Path) -> None:
    results = TlsResults(tmp_path / "a.json", now=lambda: NOON)
    assert watcher_of(Worker(), results) is results


class Nothing:
    """Neither DNS nor the web answers."""

    async def txt(self, name: str) -> TextResult:
        return NoSuchName(name)

    async def get(self, host: str, _: str) -> Page:
        raise AssertionError(f"{host} was asked")


async def test_a_policy_that_one_worker_fetched_binds_all_and_outlives_a_restart(
    tmp_path: Path,
) -> None:
    def policies(*, saves: bool) -> StsPolicies:
        path = tmp_path / "mta_sts.json"
        return StsPolicies(Nothing(), Nothing(), path, now=lambda: NOON, saves=saves)

    handle = open_board()
    boards = [Board(handle, "this run", origin) for origin in (1, 2)]
    first, second = policies(saves=True), policies(saves=False)
    share_policies(Worker(1, 2, boards[0]), first)
    share_policies(Worker(2, 2, boards[1]), second)
    policy = Policy(Mode.ENFORCE, ("*.adatum.com",), timedelta(days=1))
    second.tell("adatum.com", Kept("20260504", policy, NOON))
    assert (await first.find("adatum.com")).policy is None
    boards[0].pull()
    assert (await first.find("adatum.com")).policy == policy
    await first.settle()
    assert (await policies(saves=False).find("adatum.com")).policy == policy
    os.close(handle)
