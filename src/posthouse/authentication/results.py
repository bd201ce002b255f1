"""What a check of authenticity can say, and why (RFC 8601 §2.7)."""

from enum import StrEnum

from msgspec import Struct


class Result(StrEnum):
    """The words that an Authentication-Results field may use."""

    NONE = "none"  # there was nothing to check
    PASS = "pass"  # noqa: S105 - a result, no password
    FAIL = "fail"
    SOFTFAIL = "softfail"  # SPF only: probably not
    NEUTRAL = "neutral"  # the domain says nothing either way
    POLICY = "policy"  # right, but not worth what a signature should be worth
    TEMPERROR = "temperror"  # may be known later
    PERMERROR = "permerror"  # the domain's records or the message's fields are wrong


class Check(Struct, frozen=True):
    """One question that was put, and its answer; in the order they were put.

    Attributes:
        question: Such as ``the body is as it was signed``.
        answer: Yes or no.
        because: The fact that decided.
    """

    question: str
    answer: bool
    because: str = ""
