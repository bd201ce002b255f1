"""What a running server knows of a client address: POP sign-ins, watched names."""

from datetime import datetime

from msgspec.structs import replace

from posthouse.accounts.store import AccountStore
from posthouse.cli.installation import Installation
from posthouse.policy.facts import PopSession, Request, WatchedName
from posthouse.server.asking import AskError, ask
from posthouse.server.requests import ClientFacts


def with_live_facts(request: Request, installation: Installation, store: AccountStore) -> Request:
    """Return the request with what the server knows of its client; as it is if none runs."""
    try:
        answer = ask(installation.directory, ClientFacts(str(request.client.address)))
    except AskError:
        return request
    sessions = []
    for known in answer["pop_sessions"]:
        account = store.find(known["account"])
        if account is not None:
            at = datetime.fromisoformat(known["last_command"])
            sessions.append(PopSession(account, at))
    names = tuple(
        WatchedName(it["host"], datetime.fromisoformat(it["last_seen"]))
        for it in answer["watched_names"]
    )
    client = replace(
        request.client,
        pop_sessions=tuple(sessions),
        watched_names=names,
        unreadable=frozenset(answer["unreadable"]),
        address_lost=answer["address_lost"],
    )
    return replace(request, client=client)
