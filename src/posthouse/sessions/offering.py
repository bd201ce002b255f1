"""Where and how one can sign in: for EHLO, and for refusals that say what would help."""

from datetime import datetime

from posthouse.policy.recognition import is_over
from posthouse.policy.rules import Door, ListenerRule, Rules, Service
from posthouse.protocol import scram
from posthouse.protocol.mechanisms import NAMES


def mechanisms_offered(wanted: tuple[str, ...], *, can_bind: bool) -> tuple[str, ...]:
    """Return what AUTH offers of the mechanisms that are wanted, the best first.

    Args:
        wanted: By the configuration, or what every account can use.
        can_bind: The connection has a channel binding, so the -PLUS variant makes sense.
    """
    return tuple(
        name for name in NAMES if name in wanted and (can_bind or name != scram.MECHANISM_PLUS)
    )


def takes_pop_windows(rules: Rules, listener: ListenerRule, at: datetime) -> bool:
    """Whether fetching mail first opens a door on the listener."""
    return any(
        (not door.listeners or listener.name in door.listeners) and not is_over(door, at)
        for door in rules.pop_window_doors
    )


def takes_sign_ins(rules: Rules, listener: ListenerRule, at: datetime) -> bool:
    """Whether a signed-in door is valid on the listener; on mx only where a door names it."""
    return any(_names(door, listener) and not is_over(door, at) for door in rules.signed_in_doors)


def _names(door: Door, listener: ListenerRule) -> bool:
    if door.listeners:
        return listener.name in door.listeners
    return listener.service is Service.SUBMISSION


def tls_is_missing(listener: ListenerRule, *, tls: bool) -> bool:
    """Whether signing in has to wait for TLS (RFC 4954 §4, RFC 8314 §3.3)."""
    return listener.tls_before_sign_in and not tls


def how_to_sign_in(rules: Rules, listener: ListenerRule, at: datetime, *, tls: bool) -> str:
    """Say in half a sentence how to sign in, here if that is possible; "" if nowhere."""
    if takes_sign_ins(rules, listener, at):
        after = ", after STARTTLS" if tls_is_missing(listener, tls=tls) else ""
        return f"with your mail address and password (AUTH{after})"
    port = sign_in_port(rules, at)
    return f"with your mail address and password on port {port}" if port else ""


def sign_in_port(rules: Rules, at: datetime) -> int | None:
    """Return the port to sign in at: the first of a submission listener where it is possible."""
    for listener in rules.listeners.values():
        if listener.service is Service.SUBMISSION and takes_sign_ins(rules, listener, at):
            return next(iter(listener.ports), None)
    return None
