from posthouse.protocol.smtp.states import AFTER, Phase, Verb


def phases_that_take(verb: Verb) -> set[Phase]:
    return {phase for phase in Phase if verb in AFTER[phase]}


def test_every_phase_is_in_the_table() -> None:
    assert set(AFTER) == set(Phase)


def test_content_comes_after_sender_and_recipient_and_never_otherwise() -> None:
    assert phases_that_take(Verb.MAIL) == {Phase.READY}
    assert phases_that_take(Verb.RECIPIENT) == {Phase.SENDER, Phase.RECIPIENTS}
    assert phases_that_take(Verb.DATA) == {Phase.RECIPIENTS}
    assert phases_that_take(Verb.CHUNK) == {Phase.RECIPIENTS, Phase.CHUNKS}


def test_tls_and_sign_in_come_outside_of_transactions() -> None:
    assert phases_that_take(Verb.TLS) == {Phase.READY}
    assert phases_that_take(Verb.AUTH) == {Phase.READY, Phase.SIGNING_IN}


def test_after_tls_everything_begins_again() -> None:
    assert AFTER[Phase.HANDSHAKE] == {Verb.TLS_DONE: Phase.CONNECTED}


def test_one_can_always_leave_between_commands() -> None:
    between = {Phase.CONNECTED, Phase.READY, Phase.SENDER, Phase.RECIPIENTS, Phase.CHUNKS}
    assert phases_that_take(Verb.QUIT) == between
    assert phases_that_take(Verb.RESET) == between
    assert phases_that_take(Verb.HELLO) == between


def test_reset_and_hello_end_a_transaction() -> None:
    for phase in (Phase.SENDER, Phase.RECIPIENTS, Phase.CHUNKS):
        assert AFTER[phase][Verb.RESET] is Phase.READY
        assert AFTER[phase][Verb.HELLO] is Phase.READY
