"""A shadow sees every decision, counts what it would decide otherwise, and changes nothing."""

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from posthouse.policy.decision import Decision, Stage, Verdict
from posthouse.policy.reasons import Reason
from posthouse.policy.relaying import decide_recipient
from posthouse.sessions.shadow import LOGGED_EACH_MINUTE, Shadow
from posthouse.telemetry.events import LogEvent, ShadowDiffers
from tests.policy.world import HOME, NOON, SIGNED_IN, network, request, rules
from tests.sessions.post import post, rules_with

ACTIVE, OTHER = rules(SIGNED_IN), rules(SIGNED_IN, network("198.51.100.0/24"))


def test_differences_are_counted_by_kind_and_logged_with_the_line_that_decides() -> None:
    events: list[LogEvent] = []
    shadow = Shadow(OTHER, "new.toml", events.append)
    asked = request(address=HOME)
    decision = decide_recipient(asked, ACTIVE)
    for _ in range(LOGGED_EACH_MINUTE + 5):
        shadow.look(decision, asked, "CASE")
    shadow.look(decide_recipient(request(), ACTIVE), request(), "CASE")
    kind = "refuse not-recognised -> accept network-may-relay"
    assert shadow.in_words() == {kind: LOGGED_EACH_MINUTE + 5}
    assert shadow.asked == LOGGED_EACH_MINUTE + 6
    assert len(events) == LOGGED_EACH_MINUTE
    later = replace(asked, at=NOON + timedelta(minutes=1))
    shadow.look(decision, later, "CASE")
    assert len(events) == LOGGED_EACH_MINUTE + 1
    event = events[0]
    assert isinstance(event, ShadowDiffers)
    assert (event.case, event.shadow) == ("CASE", "accept network-may-relay")
    assert event.forward_path == "bob@adatum.example"


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        (Stage.SIGN_IN, Reason.SIGN_IN_FAILED),
        (Stage.CONTENT, Reason.STORAGE_FULL),
        (Stage.CONTENT, Reason.BREAKS_FORMAT),
        (Stage.MAIL, Reason.RECOGNITION_UNREADABLE),
    ],
)
def test_what_other_parts_decide_is_left_alone(stage: Stage, reason: Reason) -> None:
    events: list[LogEvent] = []
    shadow = Shadow(OTHER, "new.toml", events.append)
    shadow.look(Decision(stage, Verdict.REFUSE, reason), request(address=HOME), "")
    assert (shadow.asked, events) == (0, [])


async def test_a_session_is_answered_by_the_active_rules_only(tmp_path: Path) -> None:
    active = rules_with(SIGNED_IN)
    everybody_here = rules_with(network("127.0.0.0/8", name="shadow"))
    async with post(tmp_path, active) as it:
        shadow = Shadow(everybody_here, "new.toml", it.events.append)
        it.service.recorder.shadow = shadow
        said = await it.talk(
            "mx", "EHLO x", "MAIL FROM:<a@proseware.com>", "RCPT TO:<b@contoso.example>", "QUIT"
        )
    assert said[3].startswith("550")
    assert shadow.in_words() == {
        "accept welcome -> accept network-may-relay": 1,
        "refuse not-recognised -> accept network-may-relay": 1,
    }
