"""What one refusal costs the loop, told in full and when it comes by the thousand.

Run with ``python -m bench.refusals``; medians, in microseconds of CPU time of the calling thread.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from bench.policy import configuration
from posthouse.config.compile import compile_rules
from posthouse.config.load import load
from posthouse.mail.address import Mailbox, ReversePath
from posthouse.policy.counterfactual import would_help
from posthouse.policy.facts import Client, Request
from posthouse.policy.relaying import decide_recipient
from posthouse.policy.rules import Rules
from posthouse.sessions.recording import Recorder
from posthouse.sessions.wording_fields import SiteWords
from posthouse.telemetry.cases import CaseStore

ROUNDS, CALLS = 7, 2_000
FORM = "{:<52} {:8.1f} us"


def stranger(number: int, sender: str = "x") -> Request:
    """Return a request of some stranger to some foreign domain."""
    client = Client(IPv4Address((203 << 24) + number), "mx", hello="mx.adatum.example")
    recipient = Mailbox("bob", f"d{number % 50}.adatum.example")
    return Request(
        datetime.now(UTC), client, ReversePath(Mailbox(sender, "contoso.example")), recipient
    )


def median(function: Callable[[int], object]) -> float:
    """Return the median time of a call, in microseconds."""
    rounds = []
    for each in range(ROUNDS):
        started = time.thread_time()
        for number in range(CALLS):
            function(each * CALLS + number)
        rounds.append((time.thread_time() - started) / CALLS * 1e6)
    return statistics.median(rounds)


def measure(rules: Rules, directory: Path) -> None:
    """Print the figures for some rules."""
    cases = CaseStore(directory / "cases.db")
    recorder = Recorder(cases, lambda _: None, SiteWords(), lambda request: request)

    def recorded(request: Request) -> None:
        recorder.record(decide_recipient(request, rules), request, rules)

    one = stranger(7)
    decision = decide_recipient(one, rules)
    print(FORM.format("decide", median(lambda _: decide_recipient(one, rules))))
    print(FORM.format("would_help", median(lambda _: would_help(one, rules, decision))))
    print(
        FORM.format(
            "decide and record, each from a new address", median(lambda n: recorded(stranger(n)))
        )
    )
    print(
        FORM.format(
            "decide and record, the same client again and again",
            median(lambda _: recorded(stranger(7))),
        )
    )
    print(FORM.format("(of that, making the request)", median(lambda _: stranger(7))))
    cases.close()


if __name__ == "__main__":
    for networks in (10, 1_000):
        loaded = load(configuration(networks, 10))
        print(f"{networks} networks")
        with tempfile.TemporaryDirectory() as place:
            measure(compile_rules(loaded.configuration, loaded.spans), Path(place))
