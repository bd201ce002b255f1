"""How a client is known: which doors stand open for it at this moment.

Doors are a set, any open one is enough, and all of them are tried: so order cannot matter, and the
trace tells what each kind of door said.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from msgspec import Struct

from posthouse.policy.decision import Step
from posthouse.policy.facts import Account, Request
from posthouse.policy.ownership import owns, place_may_use
from posthouse.policy.reasons import Reason
from posthouse.policy.rules import Door, DoorKind, Passwords, Rules

SIGNED_IN: Final = "client signed in"
POP_WINDOW: Final = "mail was fetched from this address lately"
NETWORK: Final = "network may relay"
HOST_NAME: Final = "host name may relay"
CERTIFICATE: Final = "certificate may relay"
ADDRESS: Final = "address is one client's"

NOBODY: Final = "nobody signed in"
NO_POP_WINDOW: Final = Step(POP_WINDOW, answer=False, because="no such door")

REASON_OF: Final[dict[DoorKind, Reason]] = {
    DoorKind.SIGNED_IN: Reason.SIGNED_IN,
    DoorKind.POP_WINDOW: Reason.POP_WINDOW_OPEN,
    DoorKind.NETWORK: Reason.NETWORK_MAY_RELAY,
    DoorKind.HOST_NAME: Reason.HOST_NAME_MAY_RELAY,
    DoorKind.CERTIFICATE: Reason.CERTIFICATE_MAY_RELAY,
}


class Recognition(Struct, frozen=True):
    """One open door, and who came through it.

    Attributes:
        door: The entry.
        account: The account it recognises; None for networks and host names.
        detail: What opened it, for records: ``ann@example.com``, ``198.51.100.0/24``.
    """

    door: Door
    account: Account | None
    detail: str

    @property
    def reason(self) -> Reason:
        """The reason that accepts what comes through this door."""
        return REASON_OF[self.door.kind]

    def __str__(self) -> str:
        return f"{self.door.kind.value} {self.detail}"


class Known(Struct):
    """What the doors said about one client, gathered while they are tried.

    Attributes:
        open: Every open door.
        steps: One for each kind of door, in a fixed order.
        minutes_ago: Since the last command of the latest POP session whose window ended.
        other_sender: A POP window is open, but not for this reverse-path.
        ended: A door that would have opened, had its last day not passed.
        unreadable: What could not be read and might have opened a door.
        address_lost: A door would have opened, were the address not that of many clients.
    """

    open: list[Recognition]
    steps: list[Step]
    minutes_ago: int | None = None
    other_sender: bool = False
    ended: Door | None = None
    unreadable: str = ""
    address_lost: bool = False


def recognise(request: Request, rules: Rules) -> Known:
    """Try every door that is valid on the client's listener."""
    known = Known([], [])
    _try_signed_in(request, rules, known)
    if rules.certificate_doors:
        _try_certificates(request, rules, known)
    if request.client.address_lost:
        _leave_out_address(request, rules, known)
    else:
        _try_address(request, rules, known)
    return known


def lasting(request: Request, rules: Rules) -> Known | None:
    """Return what the doors say, if no moment and no other part of the mail can change it.

    It is then the same for all commands of a mail transaction; None if it has to be asked each
    time: a POP window, a watched name or the end of a door depends on the moment.
    """
    client = request.client
    if client.pop_sessions or client.watched_names or client.unreadable or rules.some_door_ends:
        return None
    return recognise(request, rules)


def _try_address(request: Request, rules: Rules, known: Known) -> None:
    """Try the doors that know a client by its address."""
    _try_pop_windows(request, rules, known)
    _try_networks(request, rules, known)
    _try_host_names(request, rules, known)


def _leave_out_address(request: Request, rules: Rules, known: Known) -> None:
    """An address that many clients share tells nothing of any of them."""
    believed = Known([], [])
    _try_address(request, rules, believed)
    known.address_lost = bool(believed.open)
    known.steps.append(Step(ADDRESS, answer=False, because=request.client.address_lost))


def is_over(door: Door, at: datetime) -> bool:
    """Whether the door's end has passed; a date counts to the end of that day, UTC."""
    if door.until is None:
        return False
    return at >= end_of(door.until)


def end_of(until: date | datetime) -> datetime:
    """Return the first moment at which an entry that is valid `until` then is closed."""
    if isinstance(until, datetime):
        return until if until.tzinfo else until.replace(tzinfo=UTC)
    return datetime.combine(until + timedelta(days=1), time(), tzinfo=UTC)


def end_text(until: date | datetime) -> str:
    """Return an end as people read it: a day, or a moment to the minute."""
    if isinstance(until, datetime):
        return f"{end_of(until).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return str(until)


def _is_valid(door: Door, request: Request, known: Known) -> bool:
    """Whether the door counts here and now; one that only came too late is remembered."""
    if door.listeners and request.client.listener not in door.listeners:
        return False
    if door.until is not None and is_over(door, request.at):
        known.ended = door
        return False
    return True


def _try_signed_in(request: Request, rules: Rules, known: Known) -> None:
    sign_in = request.client.signed_in
    if sign_in is None:
        doors = rules.signed_in_doors
        known.steps.append(Step(SIGNED_IN, False, NOBODY, doors[0].where if doors else ""))  # noqa: FBT003 - the answer
        return
    because, where = f"{sign_in.account.name}, but not by a door of this listener", ""
    opened = False
    for door in rules.signed_in_doors:
        if not _takes_password(door, submission=sign_in.submission_password):
            because, where = f"{sign_in.account.name}, by a password not taken here", door.where
        elif _is_valid(door, request, known):
            known.open.append(Recognition(door, sign_in.account, sign_in.account.name))
            because, where, opened = sign_in.account.name, door.where, True
    known.steps.append(Step(SIGNED_IN, opened, because, where))


def _try_certificates(request: Request, rules: Rules, known: Known) -> None:
    shown = request.client.certificate
    because, where, opened = "none was shown", "", False
    if shown is not None:
        because = f"{', '.join(sorted(shown.names)) or shown.fingerprint}, which is not listed"
        for door in rules.certificate_doors:
            found = door.certificates & (shown.names | {shown.fingerprint})
            if found and _is_valid(door, request, known):
                detail = min(found)
                because, where, opened = f"{detail}{_about(door)}", door.where, True
                known.open.append(Recognition(door, None, detail))
    known.steps.append(Step(CERTIFICATE, opened, because, where))


def _takes_password(door: Door, *, submission: bool) -> bool:
    if door.passwords is Passwords.EITHER:
        return True
    return submission is (door.passwords is Passwords.SUBMISSION)


def _try_pop_windows(request: Request, rules: Rules, known: Known) -> None:
    doors = rules.pop_window_doors
    if not doors:
        known.steps.append(NO_POP_WINDOW)
        return
    because, where, opened = "none was fetched", doors[0].where, False
    for door in doors:
        if not _is_valid(door, request, known):
            continue
        if "pop-window" in request.client.unreadable and _is_ours(request, rules):
            known.unreadable = because = "POP windows cannot be read now"
        for session in request.client.pop_sessions:
            age = request.at - session.last_command
            because = f"{_minutes(age)} min ago, window {_minutes(door.window)} min"
            where = door.where
            if not timedelta() <= age <= door.window:
                _note_ended(known, age)
            elif not _may_be(request, session.account):
                because = f"{because}, but by {session.account.name}, who did not sign in here"
            elif not _is_own_window(request, rules, session.account):
                known.other_sender = True
                because = f"{because}, but not by the owner of {request.reverse_path}"
            else:
                known.open.append(Recognition(door, session.account, session.account.name))
                opened = True
                break
    known.steps.append(Step(POP_WINDOW, opened, because, where))


def _may_be(request: Request, account: Account) -> bool:
    """A client that signed in is who it says: the windows of others are not its windows."""
    signed_in = request.client.signed_in
    return signed_in is None or signed_in.account.name == account.name


def _is_own_window(request: Request, rules: Rules, account: Account) -> bool:
    """An open window counts only for the account's own addresses, whatever the identity rule.

    Else a neighbour behind the same address would relay without knowing whom to imitate. So the
    null reverse-path opens nothing either.
    """
    path = request.reverse_path
    if path is None or path.mailbox is None:
        return False
    return owns(account, path.mailbox, plus_tags=rules.identity.plus_tags, taken=request.taken)


def _note_ended(known: Known, age: timedelta) -> None:
    if age > timedelta():
        minutes = _minutes(age)
        if known.minutes_ago is None or minutes < known.minutes_ago:
            known.minutes_ago = minutes


def _try_networks(request: Request, rules: Rules, known: Known) -> None:
    address = request.client.address
    numbers = rules.networks.find(address)
    if not numbers:
        count, where = rules.networks_written
        known.steps.append(Step(NETWORK, False, f"in none of {count}", where))  # noqa: FBT003 - the answer
        return
    because, where, opened = "", "", False
    for number in numbers:
        door = rules.doors[number]
        if not _is_valid(door, request, known):
            if not opened:
                because, where = f"in {door.name}, {_why_not(door, request)}", door.where
            continue
        if not opened:
            because = f"in {rules.networks.narrowest(address)}{_about(door)}"
            where, opened = door.where, True
        known.open.append(Recognition(door, None, door.name))
    known.steps.append(Step(NETWORK, opened, because, where))


def _try_host_names(request: Request, rules: Rules, known: Known) -> None:
    doors = rules.host_name_doors
    if not doors:
        return
    client = request.client
    because = f"no listed name points at {client.address}"
    where, opened = doors[0].where, False
    for door in doors:
        if not _is_valid(door, request, known):
            continue
        for unreadable in (
            door.hosts & client.unreadable if _may_serve(door, request, rules) else ()
        ):
            known.unreadable = because = f"{unreadable} cannot be looked up now"
            where = door.where
        for name in client.watched_names:
            if name.host in door.hosts and request.at - name.last_seen <= door.linger:
                because = f"{name.host} points at {client.address}{_about(door)}"
                where, opened = door.where, True
                known.open.append(Recognition(door, None, name.host))
    known.steps.append(Step(HOST_NAME, opened, because, where))


def _is_ours(request: Request, rules: Rules) -> bool:
    """Whether the reverse-path may be an account's own: only then a window could have opened."""
    path = request.reverse_path
    return path is None or (path.mailbox is not None and path.mailbox.domain in rules.local_domains)


def _may_serve(door: Door, request: Request, rules: Rules) -> bool:
    """Whether the door, were it open, would take this reverse-path."""
    path = request.reverse_path
    if path is None or path.mailbox is None:
        return True
    return place_may_use(door, path.mailbox, rules.identity.reverse_path, rules)


def _about(door: Door) -> str:
    """The operator's own words about an entry: its name, its end, why it is there."""
    words = f" ({door.name}" if door.name != door.kind.value else ""
    if door.until is not None:
        words += f"{', ' if words else ' ('}until {end_text(door.until)}"
    if door.because:
        words += f"{', ' if words else ' ('}{door.because}"
    return f"{words})" if words else ""


def _why_not(door: Door, request: Request) -> str:
    if door.listeners and request.client.listener not in door.listeners:
        return f"which is not for listener {request.client.listener}"
    return f"which ended {end_text(door.until)}" if door.until else ""


def _minutes(span: timedelta) -> int:
    """Whole minutes; a moment ago is 1 min ago, not 0."""
    seconds = span.total_seconds()
    return max(1, int(seconds // 60)) if seconds > 0 else 0
