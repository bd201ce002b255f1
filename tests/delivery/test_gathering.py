"""One report for each message, where outcomes come together in time."""

from datetime import timedelta

from posthouse.delivery.content import Content
from posthouse.delivery.gathering import Gathering
from posthouse.delivery.outcomes import Delivered, Failed, Outcome
from posthouse.delivery.retry import Patience
from posthouse.delivery.tally import Tally, tally
from posthouse.spool.records import Work
from tests.delivery.given import NOON, content, recipient, work

GONE = Failed("5.1.1", "550 5.1.1 nobody", "mx")
FINE = Delivered("250 ok", "mx")
WHOLE = work(recipient("a@a.example"), recipient("b@b.example"), recipient("c@c.example"))


def at(place: int, outcome: Outcome) -> Tally:
    one = Work(
        WHOLE.id, f"{'abc'[place]}.example", WHOLE.envelope, WHOLE.octets,
        (WHOLE.recipients[place],),
    )  # fmt: skip
    return tally(one, {place: outcome}, NOON + timedelta(seconds=place), Patience(), spread=0)


class Settled:
    def __init__(self, wait_seconds: float = 60) -> None:
        self.places: list[list[int]] = []
        self.gathering = Gathering(self.settle, wait_seconds=wait_seconds)

    async def settle(self, ended: Tally, content: Content) -> None:
        self.places.append(sorted(ended.results))


async def test_bad_news_waits_for_the_other_destinations_and_goes_together() -> None:
    it = Settled()
    for _ in range(3):
        it.gathering.expect(WHOLE.id)
    await it.gathering.end(at(0, GONE), content())
    await it.gathering.end(at(1, FINE), content())
    assert it.places == [[1]], "good news waits for nobody"
    await it.gathering.end(at(2, GONE), content())
    assert it.places == [[1], [0, 2]]


async def test_a_message_alone_waits_for_nobody() -> None:
    it = Settled()
    it.gathering.expect(WHOLE.id)
    await it.gathering.end(at(0, GONE), content())
    assert it.places == [[0]]


async def test_what_is_given_back_is_not_waited_for() -> None:
    it = Settled()
    it.gathering.expect(WHOLE.id)
    it.gathering.expect(WHOLE.id)
    await it.gathering.end(at(0, GONE), content())
    it.gathering.give_back(WHOLE.id)
    await it.gathering.end_all()
    assert it.places == [[0]]


async def test_nobody_is_waited_for_too_long_and_at_the_end_not_at_all() -> None:
    slow = Settled(wait_seconds=0)
    for it in (slow, Settled()):
        it.gathering.expect(WHOLE.id)
        it.gathering.expect(WHOLE.id)
        await it.gathering.end(at(0, GONE), content())
        assert it.places == []
        await it.gathering.end_all()
        assert it.places == [[0]]
        await it.gathering.end(at(1, GONE), content())
        assert it.places == [[0], [1]]
