"""Causes are public vocabulary: never renamed, never reused."""

from posthouse.doctor.catalogue import shipped
from posthouse.doctor.causes import Cause
from posthouse.policy.reasons import WORDINGS, Reason

KNOWN = set(
    """
relay_denied auth_required must_pop_first ip_not_listed auth_failed auth_temporary auth_throttled
auth_not_offered auth_disabled_by_admin app_password_required account_suspended sender_not_owned
sender_domain_invalid sender_blocked ip_blocked dynamic_ip rdns_missing helo_rejected
wrong_server_or_port server_not_found port_blocked connection_lost tls_required tls_failed
rate_limited quota_exceeded policy_reject spam_reject content_rejected domain_auth_failed
recipient_restricted mailbox_unavailable mailbox_full recipient_domain_invalid address_syntax
message_too_big too_many_recipients smtputf8_required greylisted server_busy server_error
protocol_error loop expired silent_drop unknown
""".split()  # noqa: SIM905 - a list of words is easier to compare
)


def test_no_cause_is_lost_or_renamed() -> None:
    assert not KNOWN - {cause.value for cause in Cause}


def test_each_refusal_of_posthouse_has_a_cause() -> None:
    refusals = {reason.value for reason in Reason if WORDINGS[reason].code >= 400}
    assert refusals <= set(shipped().rules.reasons)
