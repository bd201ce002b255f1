"""What a case keeps of its request gives the same request, and the same decision, again."""

from hypothesis import given
from msgspec.structs import replace

from posthouse.policy.facts import Authorship, Finding, Load, Request, Usage
from posthouse.policy.relaying import decide_recipient
from posthouse.policy.rules import Rules
from posthouse.telemetry.case import case_of, decode, encode
from tests.policy.test_properties import all_rules, requests
from tests.policy.world import SIGNED_IN, request, rules


@given(requests, all_rules)
def test_a_recorded_request_is_the_request_that_was_decided(asked: Request, by: Rules) -> None:
    decision = decide_recipient(asked, by)
    again = decode(encode(case_of("00000000", asked, decision))).request()
    assert again is not None
    assert again == replace(asked, sender_account=None)
    assert decide_recipient(again, by) == decision


def test_everything_that_can_matter_is_kept() -> None:
    asked = request(
        authorship=Authorship(None, from_fields=2, sender_readable=False),
        findings=(Finding("spam", found=None, detail="x"),),
        usage=Usage(1, 2, 3),
        load=Load(4, 5),
        octets=6,
        hops=7,
        recipient_exists=False,
        unreadable=frozenset({"pop-window"}),
    )
    asked = replace(asked, client=replace(asked.client, address_lost="why", tls=True, hello="x"))
    by = rules(SIGNED_IN)
    case = case_of("00000000", asked, decide_recipient(asked, by))
    assert decode(encode(case)).request() == asked


def test_what_cannot_be_read_any_more_is_no_request() -> None:
    case = case_of("00000000", request(), decide_recipient(request(), rules()))
    assert replace(case, forward_path="nonsense").request() is None
    assert replace(case, client="").request() is None
    assert replace(case, asked=None).request() is None
