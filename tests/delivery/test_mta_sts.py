"""MTA-STS: records and policies as text, and policies that are kept."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.delivery.mta_sts import Mode, Policy, PolicyError, parse_policy, policy_id
from posthouse.delivery.sts_policies import Finding, StsPolicies
from posthouse.delivery.tls_terms import Trouble
from posthouse.dns.answers import Answer, NoSuchName, TemporaryFailure, TextResult
from posthouse.wire.https import HttpsError, Page
from tests.delivery.given import NOON

TEXT = "version: STSv1\nmode: enforce\nmx: mx.adatum.com\nmx: *.Backup.example\nmax_age: 604800\n"
POLICY = Policy(Mode.ENFORCE, ("mx.adatum.com", "*.backup.example"), timedelta(days=7))
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=1"], "1"),
        (["v=spf1 -all", "v=STSv1; id=1; later=yes;"], "1"),
        (["v=STSv1; id=1", "v=STSv1; id=2"], ""),
        (["v=STSv1; id="], ""),
        (["v=STSv1; id=a-b"], ""),
        (["v=STSv1; id=" + "a" * 33], ""),
        (["v=STSv2; id=1"], ""),
        (["id=1; v=STSv1"], ""),
        ([], ""),
    ],
)
def test_the_record_has_an_id_or_is_none(texts: Sequence[str], found: str) -> None:
    assert policy_id(texts) == found


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_policy_is_read(line_end: str) -> None:
    assert parse_policy(TEXT.replace("\n", line_end).encode()) == POLICY
    assert parse_policy("\n".join(POLICY.lines()).encode()) == POLICY


def test_unknown_fields_are_skipped_and_of_repeated_ones_the_first_counts() -> None:
    text = f"{TEXT}mode: none\nlater: yes\n\n"
    assert parse_policy(text.encode()) == POLICY


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version: STSv1\n", "", "version"),
        ("STSv1", "STSv2", "version"),
        ("enforce", "please", "mode"),
        ("max_age: 604800\n", "", "max_age"),
        ("604800", "-1", "max_age"),
        ("604800", "12345678901", "max_age"),
        ("mx: mx.adatum.com\nmx: *.Backup.example\n", "", "no exchanger"),
        ("mx.adatum.com", "*", "cannot be"),
        ("mx.adatum.com", "m*.adatum.com", "cannot be"),
        ("mx.adatum.com", "a b.com", "cannot be"),
        ("mode: enforce", "<html>", "colon"),
        ("mode: enforce", "mode: enforce\xe9", "mode"),
    ],
)
def test_half_a_policy_is_none(old: str, new: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        parse_policy(TEXT.replace(old, new, 1).encode())


def test_mode_none_needs_no_exchangers_and_nothing_lasts_for_ever() -> None:
    policy = parse_policy(b"version: STSv1\nmode: none\nmax_age: 9999999999")
    assert policy.mode is Mode.NONE
    assert policy.max_age < timedelta(days=366)


@given(st.binary(max_size=400))
def test_any_octets_are_a_policy_or_an_error(octets: bytes) -> None:
    with suppress(PolicyError):
        parse_policy(octets)


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("mx.adatum.com", True),
        ("MX.adatum.com.", True),
        ("a.backup.example", True),
        ("backup.example", False),
        ("a.b.backup.example", False),
        ("other.adatum.com", False),
        ("com", False),
        ("", False),
    ],
)
def test_a_policy_means_its_hosts_only(host: str, meant: bool) -> None:
    assert POLICY.means(host) is meant


# ---------------------------------------------------------------- kept


class World:
    """DNS and the web, by hand."""

    def __init__(self) -> None:
        self.now = NOON
        self.records: TextResult = Answer(("v=STSv1; id=1;",), "_mta-sts.adatum.com", 60)
        self.page: Page | HttpsError = Page("text/plain", TEXT.encode())
        self.fetched = 0

    async def txt(self, name: str) -> TextResult:
        assert name == "_mta-sts.adatum.com"
        return self.records

    async def get(self, host: str, path: str) -> Page:
        self.fetched += 1
        assert (host, path) == ("mta-sts.adatum.com", "/.well-known/mta-sts.txt")
        if isinstance(self.page, HttpsError):
            raise self.page
        return self.page

    def clock(self) -> datetime:
        return self.now

    def say(self, number: int) -> None:
        self.records = Answer((f"v=STSv1; id={number};",), "_mta-sts.adatum.com", 60)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mta_sts.json"


def policies(world: World, path: Path) -> StsPolicies:
    return StsPolicies(world, world, path, now=world.clock)


async def test_a_policy_is_fetched_once_and_survives_a_restart(world: World, path: Path) -> None:
    for _ in range(2):
        for _ in range(3):
            assert await policies(world, path).find("adatum.com") == Finding(POLICY)
    assert world.fetched == 1


async def test_without_a_record_nothing_is_fetched(world: World, path: Path) -> None:
    world.records = NoSuchName("_mta-sts.adatum.com")
    assert await policies(world, path).find("adatum.com") == Finding()
    assert await policies(world, path).find("[192.0.2.1]") == Finding()
    assert world.fetched == 0


@pytest.mark.parametrize(
    "records", [NoSuchName("x"), TemporaryFailure("x", "down"), Answer(("v=STSv1",), "x", 1)]
)
async def test_taking_the_record_away_takes_no_policy_away(
    records: TextResult, world: World, path: Path
) -> None:
    it = policies(world, path)
    await it.find("adatum.com")
    world.records, world.now = records, NOON + timedelta(days=6)
    assert (await it.find("adatum.com")).policy == POLICY
    world.now = NOON + timedelta(days=8)
    assert (await it.find("adatum.com")).policy is None


async def test_a_new_id_brings_the_new_policy(world: World, path: Path) -> None:
    it = policies(world, path)
    await it.find("adatum.com")
    world.say(2)
    world.page = Page("text/plain", TEXT.replace("enforce", "testing").encode())
    found = await it.find("adatum.com")
    assert found.policy is not None
    assert found.policy.mode is Mode.TESTING


async def test_where_the_new_policy_cannot_be_had_the_old_one_holds(
    world: World, path: Path
) -> None:
    it = policies(world, path)
    await it.find("adatum.com")
    world.say(2)
    world.page = HttpsError("down")
    for _ in range(3):
        assert await it.find("adatum.com") == Finding(POLICY, Trouble.STS_FETCH, "down")
    assert world.fetched == 2  # not again for five minutes
    world.now += timedelta(minutes=6)
    await it.find("adatum.com")
    assert world.fetched == 3


@pytest.mark.parametrize(
    ("page", "trouble"),
    [
        (HttpsError("down"), Trouble.STS_FETCH),
        (HttpsError("expired", certificate=True), Trouble.STS_WEB_PKI),
        (Page("text/html", TEXT.encode()), Trouble.STS_POLICY),
        (Page("text/plain", b"hello"), Trouble.STS_POLICY),
    ],
)
async def test_what_cannot_be_fetched_is_no_policy_and_is_told(
    page: Page | HttpsError, trouble: Trouble, world: World, path: Path
) -> None:
    world.page = page
    found = await policies(world, path).find("adatum.com")
    assert (found.policy, found.trouble) == (None, trouble)
    assert found.words


async def test_a_policy_is_renewed_before_it_ends(world: World, path: Path) -> None:
    it = policies(world, path)
    await it.find("adatum.com")
    for day in range(1, 30):  # far longer than max_age, never without
        world.now = NOON + day * timedelta(hours=25)
        assert (await it.find("adatum.com")).policy == POLICY
        await it.settle()
    assert world.fetched == 30


async def test_a_damaged_file_is_begun_anew(world: World, path: Path) -> None:
    path.write_bytes(b"{")
    assert await policies(world, path).find("adatum.com") == Finding(POLICY)
