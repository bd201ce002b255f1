"""What can be wrong: the fixed vocabulary of the doctor.

A cause is public vocabulary: its name appears in `--json` and in the addresses of the help pages,
so a name is never changed and never reused; tests/doctor/test_causes.py keeps the list.
"""

from enum import StrEnum


class Cause(StrEnum):
    """Stable identifiers; the sentence for each is in data/advice.toml."""

    # not recognised
    RELAY_DENIED = "relay_denied"
    AUTH_REQUIRED = "auth_required"
    MUST_POP_FIRST = "must_pop_first"
    IP_NOT_LISTED = "ip_not_listed"
    # signing in
    AUTH_FAILED = "auth_failed"
    AUTH_TEMPORARY = "auth_temporary"
    AUTH_THROTTLED = "auth_throttled"
    AUTH_NOT_OFFERED = "auth_not_offered"
    AUTH_DISABLED_BY_ADMIN = "auth_disabled_by_admin"
    APP_PASSWORD_REQUIRED = "app_password_required"  # noqa: S105 - a cause, not a secret
    ACCOUNT_SUSPENDED = "account_suspended"
    # the sender
    SENDER_NOT_OWNED = "sender_not_owned"
    SENDER_DOMAIN_INVALID = "sender_domain_invalid"
    SENDER_BLOCKED = "sender_blocked"
    # the connecting address
    IP_BLOCKED = "ip_blocked"
    DYNAMIC_IP = "dynamic_ip"
    RDNS_MISSING = "rdns_missing"
    HELO_REJECTED = "helo_rejected"
    # reaching the server
    WRONG_SERVER_OR_PORT = "wrong_server_or_port"
    SERVER_NOT_FOUND = "server_not_found"
    PORT_BLOCKED = "port_blocked"
    CONNECTION_LOST = "connection_lost"
    TLS_REQUIRED = "tls_required"
    TLS_FAILED = "tls_failed"
    # how much
    RATE_LIMITED = "rate_limited"
    QUOTA_EXCEEDED = "quota_exceeded"
    # the message
    POLICY_REJECT = "policy_reject"
    SPAM_REJECT = "spam_reject"
    CONTENT_REJECTED = "content_rejected"
    DOMAIN_AUTH_FAILED = "domain_auth_failed"
    # the recipient
    RECIPIENT_RESTRICTED = "recipient_restricted"
    MAILBOX_UNAVAILABLE = "mailbox_unavailable"
    MAILBOX_FULL = "mailbox_full"
    RECIPIENT_DOMAIN_INVALID = "recipient_domain_invalid"
    # form, size, time
    ADDRESS_SYNTAX = "address_syntax"
    MESSAGE_TOO_BIG = "message_too_big"
    TOO_MANY_RECIPIENTS = "too_many_recipients"
    SMTPUTF8_REQUIRED = "smtputf8_required"
    GREYLISTED = "greylisted"
    SERVER_BUSY = "server_busy"
    SERVER_ERROR = "server_error"
    PROTOCOL_ERROR = "protocol_error"
    LOOP = "loop"
    EXPIRED = "expired"
    # nothing was said
    SILENT_DROP = "silent_drop"
    UNKNOWN = "unknown"
