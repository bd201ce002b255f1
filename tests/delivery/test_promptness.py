"""With which hosts a message may follow another."""

from posthouse.delivery.promptness import ALLOWED_SECONDS, Promptness


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def bring(promptness: Promptness, seconds: Seconds, way: float, taking: float) -> None:
    """One message: a round trip for its commands, another for the content, and what it takes."""
    promptness.commands_sent()
    seconds.now += way
    promptness.content_sent()
    seconds.now += way + taking
    promptness.transaction_ended()


def is_prompt(host: Promptness) -> bool:
    return host.is_given


def test_nothing_is_known_before_the_first_message() -> None:
    assert not is_prompt(Promptness(Seconds()))


def test_a_host_far_away_that_takes_mail_at_once_is_prompt() -> None:
    seconds = Seconds()
    promptness = Promptness(seconds)
    bring(promptness, seconds, way=0.3, taking=ALLOWED_SECONDS / 2)
    assert is_prompt(promptness)


def test_a_host_that_takes_its_time_is_not_and_may_become_prompt() -> None:
    seconds = Seconds()
    promptness = Promptness(seconds)
    bring(promptness, seconds, way=0.001, taking=1.0)
    assert not is_prompt(promptness)
    bring(promptness, seconds, way=0.001, taking=0.001)
    assert is_prompt(promptness)


def test_a_host_that_is_slow_just_now_is_not() -> None:
    seconds = Seconds()
    promptness = Promptness(seconds)
    bring(promptness, seconds, way=0.001, taking=0.001)
    promptness.commands_sent()
    seconds.now += 1
    assert not is_prompt(promptness)
    seconds.now -= 1
    promptness.content_sent()
    assert is_prompt(promptness)
    seconds.now += 1
    assert not is_prompt(promptness)


def test_a_refusal_says_nothing_about_it() -> None:
    seconds = Seconds()
    promptness = Promptness(seconds)
    bring(promptness, seconds, way=0.001, taking=0.001)
    promptness.commands_sent()
    promptness.transaction_ended()
    seconds.now += 1000
    assert is_prompt(promptness)
