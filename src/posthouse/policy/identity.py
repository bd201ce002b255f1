"""Who may write as whom (RFC 6409 §6.1): reverse-path, From, Sender and Reply-To.

The rule holds for every recognised client, mail to local recipients included, and for no stranger.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from posthouse.mail.address import Mailbox, ReversePath
from posthouse.policy.decision import Step
from posthouse.policy.facts import Authorship, Request
from posthouse.policy.ownership import (
    account_may_use,
    place_may_use,
    texts_for_account,
    texts_for_place,
)
from posthouse.policy.reasons import Reason
from posthouse.policy.recognition import Recognition
from posthouse.policy.rules import Ownership, Rules

UNREADABLE: Final = "(unreadable)"


class Objection(Struct, frozen=True):
    """Why an identity is refused.

    Attributes:
        reason: The stable identifier.
        field: Header field, or "" for the reverse-path.
        subject: The address that may not be used, or ``(unreadable)``.
        allowed: What may be used instead.
    """

    reason: Reason
    field: str
    subject: str
    allowed: tuple[str, ...]


def may_write_as(
    recognition: Recognition, mailbox: Mailbox, ownership: Ownership, request: Request, rules: Rules
) -> bool:
    """Whether a client that came through this door may use the address."""
    door, account = recognition.door, recognition.account
    if account is None:
        return place_may_use(door, mailbox, ownership, rules)
    if not account_may_use(account, mailbox, ownership, rules.identity, request.taken):
        return False
    return door.sends_as is None or place_may_use(door, mailbox, ownership, rules)


def allowed_texts(recognition: Recognition, ownership: Ownership, rules: Rules) -> tuple[str, ...]:
    """Return the addresses a client that came through this door may use."""
    if recognition.account is None:
        return texts_for_place(recognition.door, ownership, rules)
    texts = texts_for_account(recognition.account, ownership)
    limit = recognition.door.sends_as
    if limit is None or limit.everything:
        return texts
    return limit.texts()


def may_send_from(
    recognition: Recognition, path: ReversePath | None, request: Request, rules: Rules
) -> bool:
    """Whether the door allows the reverse-path; the null one is for reports and vacation notes."""
    if path is None or path.mailbox is None:
        return True
    return may_write_as(recognition, path.mailbox, rules.identity.reverse_path, request, rules)


def reverse_path_step(rules: Rules, *, allowed: bool) -> Step:
    """Tell whether the reverse-path may be used."""
    rule = rules.identity
    return Step(
        "reverse-path is the client's own", allowed, f"by {rule.reverse_path.value}", rule.where
    )


def objection_to_authorship(
    recognition: Recognition, authorship: Authorship, request: Request, rules: Rules
) -> Objection | None:
    """Return the first thing wrong with From, Sender or Reply-To, or None (RFC 5322 §3.6.2)."""
    return (
        _objection_to_authors(recognition, authorship, request, rules)
        or _objection_to_sender(recognition, authorship, request, rules)
        or _objection_to_reply_to(recognition, authorship, request, rules)
    )


class _Field(Struct, frozen=True):
    """A header field that names somebody, and the rule for it."""

    name: str
    reason: Reason
    ownership: Ownership


def _objection_to_authors(
    recognition: Recognition, authorship: Authorship, request: Request, rules: Rules
) -> Objection | None:
    if authorship.from_fields > 1:
        return Objection(Reason.FROM_AMBIGUOUS, "From", f"{authorship.from_fields} From fields", ())
    if not authorship.authors:
        return Objection(Reason.FROM_UNREADABLE, "From", UNREADABLE, ())
    if len(authorship.authors) > 1 and authorship.sender is None:
        return Objection(Reason.FROM_AMBIGUOUS, "From", f"{len(authorship.authors)} authors", ())
    field = _Field("From", Reason.FROM_NOT_OWN, rules.identity.from_)
    return _first_foreign(field, authorship.authors, recognition, request, rules)


def _objection_to_sender(
    recognition: Recognition, authorship: Authorship, request: Request, rules: Rules
) -> Objection | None:
    field = _Field("Sender", Reason.SENDER_FIELD_NOT_OWN, rules.identity.from_)
    if not authorship.sender_readable and field.ownership is not Ownership.ANYTHING:
        return Objection(Reason.FROM_UNREADABLE, "Sender", UNREADABLE, ())
    senders = (authorship.sender,) if authorship.sender else ()
    return _first_foreign(field, senders, recognition, request, rules)


def _objection_to_reply_to(
    recognition: Recognition, authorship: Authorship, request: Request, rules: Rules
) -> Objection | None:
    field = _Field("Reply-To", Reason.REPLY_TO_NOT_OWN, rules.identity.reply_to)
    if not authorship.reply_to_readable and field.ownership is not Ownership.ANYTHING:
        return Objection(Reason.FROM_UNREADABLE, "Reply-To", UNREADABLE, ())
    return _first_foreign(field, authorship.reply_to, recognition, request, rules)


def _first_foreign(
    field: _Field,
    mailboxes: Iterable[Mailbox],
    recognition: Recognition,
    request: Request,
    rules: Rules,
) -> Objection | None:
    for mailbox in mailboxes:
        if not may_write_as(recognition, mailbox, field.ownership, request, rules):
            allowed = allowed_texts(recognition, field.ownership, rules)
            return Objection(field.reason, field.name, str(mailbox), allowed)
    return None
