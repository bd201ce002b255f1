"""Mail that is to leave later, or to be there in time, on submission."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from posthouse.sessions.smtp_service import SmtpLimits
from tests.sessions.post import SIGNED_IN, post, rules_with
from tests.sessions.test_settled import HERE, codes
from tests.sessions.test_smtp import END, MESSAGE, TO_ANN

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TO_BOB = ("RCPT TO:<bob@adatum.com>", "DATA", MESSAGE + END)


def mail(parameters: str) -> tuple[str, ...]:
    return ("EHLO device.example", f"MAIL FROM:<ann@proseware.com> {parameters}")


async def test_held_mail_is_accepted_now_and_due_later(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        server.time = NOON
        said = await server.talk("devices", *mail("HOLDFOR=3600"), *TO_BOB)
        assert codes(said)[-1] == "250"
        (message,) = server.spool.list_messages()
        assert message.envelope.accepted == NOON
        assert [it.due for it in message.recipients] == [NOON + timedelta(hours=1)]
        assert server.spool.take_due(NOON + timedelta(minutes=59), 10) == []
        (work,) = server.spool.take_due(NOON + timedelta(hours=1), 10)
        assert work.id == message.id


async def test_a_release_in_the_past_is_due_at_once(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        server.time = NOON
        await server.talk("devices", *mail("HOLDUNTIL=2020-01-01T00:00:00Z"), *TO_BOB)
        (message,) = server.spool.list_messages()
        assert [it.due for it in message.recipients] == [NOON]


async def test_a_deadline_is_kept_with_the_message(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        server.time = NOON
        await server.talk("devices", *mail("BY=600;RT"), *TO_BOB)
        (message,) = server.spool.list_messages()
        assert message.envelope.deliver_by == NOON + timedelta(minutes=10)
        assert message.envelope.returned_when_late
        assert message.envelope.traced


async def test_a_deadline_before_the_release_makes_no_sense(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        said = await server.talk("devices", *mail("HOLDFOR=3600 BY=600;R"))
        assert said[-1].startswith("501 5.5.4")


async def test_strangers_can_ask_for_neither(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        said = await server.talk("mx", *mail("HOLDFOR=60"), "MAIL FROM:<a@b.example> BY=600;R")
        assert "FUTURERELEASE" not in said[1]
        assert "DELIVERBY" not in said[1]
        assert "LIMITS RCPTMAX=100" in said[1]
        assert codes(said)[2:] == ["555", "555"]


async def test_a_session_has_so_many_messages_as_ehlo_says(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN), SmtpLimits(messages_max=1)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk("mx", *TO_ANN, MESSAGE + END, *TO_ANN[1:2])
        assert "LIMITS MAILMAX=1 RCPTMAX=100" in said[1]
        assert codes(said)[-2:] == ["250", "421"]
