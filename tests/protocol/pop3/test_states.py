from posthouse.protocol.pop3.states import AFTER, AFTER_FAILURE, Phase, Verb


def phases_that_take(verb: Verb) -> set[Phase]:
    return {phase for phase in Phase if verb in AFTER[phase]}


def test_mail_is_seen_only_after_a_sign_in() -> None:
    for verb in (Verb.STAT, Verb.LIST, Verb.UIDL, Verb.RETR, Verb.TOP, Verb.DELE, Verb.RSET):
        assert phases_that_take(verb) == {Phase.TRANSACTION}


def test_a_password_comes_right_after_a_name() -> None:
    assert phases_that_take(Verb.PASS) == {Phase.NAMED}
    assert AFTER_FAILURE[Verb.PASS] is Phase.AUTHORIZATION


def test_nobody_signs_in_or_starts_tls_twice() -> None:
    for verb in (Verb.USER, Verb.AUTH, Verb.STLS):
        assert phases_that_take(verb) == {Phase.AUTHORIZATION, Phase.NAMED}


def test_one_can_always_leave_between_commands() -> None:
    assert phases_that_take(Verb.QUIT) == {Phase.AUTHORIZATION, Phase.NAMED, Phase.TRANSACTION}


def test_quit_ends_the_session_even_if_removal_fails() -> None:
    assert AFTER[Phase.TRANSACTION][Verb.QUIT] is AFTER_FAILURE[Verb.QUIT] is Phase.CLOSED


def test_every_phase_has_its_row() -> None:
    assert set(AFTER) == set(Phase)
