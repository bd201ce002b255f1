"""Contents on their way out."""

from posthouse.delivery.content import WHOLE_OCTETS_MAX, Content
from posthouse.mail.message import HEADER_OCTETS_MAX
from tests.delivery.given import CONTENT, Kept, content

LARGE = CONTENT + b"0123456789abcdef\r\n" * 40_000


def test_a_small_content_is_read_once() -> None:
    class Counting(Kept):
        asked = 0

        def content(self, message_id: str):  # type: ignore[no-untyped-def]
            Counting.asked += 1
            return super().content(message_id)

    small = Content(Counting(CONTENT), "x", len(CONTENT))
    assert small.whole() == small.whole() == b"".join(small.parts()) == CONTENT
    assert small.header.fields("subject") == [b"hi"]
    assert Counting.asked == 1


async def test_a_large_content_comes_in_blocks_and_only_its_head_is_kept() -> None:
    large = content(LARGE)
    assert len(LARGE) > WHOLE_OCTETS_MAX
    assert not large.is_small
    assert large.head() == LARGE[:HEADER_OCTETS_MAX]
    assert large.header.fields("subject") == [b"hi"]
    assert large.whole() == LARGE
    assert b"".join([block async for block in large.blocks()]) == LARGE


def test_a_size_that_was_told_wrong_changes_nothing() -> None:
    assert Content(Kept(CONTENT), "x", WHOLE_OCTETS_MAX + 1).head() == CONTENT
