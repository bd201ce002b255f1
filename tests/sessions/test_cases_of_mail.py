"""What is on record of a mail transaction: one case for each recipient that was accepted."""

from pathlib import Path

from posthouse.policy.decision import Stage, Verdict
from posthouse.telemetry.cases import Search
from posthouse.telemetry.events import Accepted, Decided
from tests.sessions.post import post, rules_with
from tests.sessions.test_settled import HERE

TO_TWO = (
    "EHLO c",
    "MAIL FROM:<ann@proseware.com>",
    "RCPT TO:<bob@adatum.com>",
    "RCPT TO:<eve@adatum.com>",
)
MESSAGE = b"From: <ann@proseware.com>\r\n\r\nx\r\n.\r\n"


async def test_each_recipient_of_a_message_has_a_case_up_to_the_final_dot(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        said = await server.talk("mx", *TO_TWO, "DATA", MESSAGE)
        (message,) = server.spool.list_messages()
        cases = server.cases.search(Search())
        assert {case.forward_path for case in cases} == {"bob@adatum.com", "eve@adatum.com"}
        for case in cases:
            questions = [step.question for step in case.trace]
            assert questions.index("network may relay") < questions.index("message goes in a loop")
            assert "author is the client's own" in questions
            assert (case.message_id, case.reply) == (message.id, said[-1])
            request = case.request()
            assert request is not None
            assert request.authorship is not None
        assert {it.case for it in message.envelope.recipients} == {case.id for case in cases}


async def test_the_log_names_the_case_and_the_reason_of_an_accepted_message(
    tmp_path: Path,
) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        await server.talk("mx", *TO_TWO, "DATA", MESSAGE)
        (accepted,) = [event for event in server.events if isinstance(event, Accepted)]
        case = server.cases.find(accepted.case)
        assert case is not None
        assert case.forward_path == "bob@adatum.com"
        assert accepted.reason == case.reason
        assert not [event for event in server.events if isinstance(event, Decided)]


async def test_what_was_granted_is_told_where_nothing_came_of_it(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        await server.talk("mx", *TO_TWO, "RSET")
        cases = server.cases.search(Search())
        assert [case.stage for case in cases] == [Stage.RECIPIENT] * 2
        assert not any(case.message_id for case in cases)
        assert len([event for event in server.events if isinstance(event, Decided)]) == 2


async def test_a_sender_without_recipients_is_told_of(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        await server.talk("mx", *TO_TWO[:2], "RSET")
        assert [case.stage for case in server.cases.search(Search())] == [Stage.MAIL]


async def test_a_refused_content_has_its_case_beside_those_of_the_recipients(
    tmp_path: Path,
) -> None:
    async with post(tmp_path, rules_with(HERE)) as server:
        await server.talk("mx", *TO_TWO, "DATA", b"x\n\r\n.\r\n")
        found = {(case.stage, case.verdict) for case in server.cases.search(Search())}
        assert found == {
            (Stage.RECIPIENT, Verdict.ACCEPT),
            (Stage.CONTENT, Verdict.REFUSE),
        }
