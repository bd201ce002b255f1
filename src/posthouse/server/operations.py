"""What the control socket can do: each request of `requests` and how it is answered."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from typing import Any, Final, TypeVar

import msgspec

from posthouse import __version__
from posthouse.accounts.store import StoreError
from posthouse.policy.networks import fold
from posthouse.server import requests
from posthouse.server.assembly import Server
from posthouse.server.control import RefusedRequestError
from posthouse.server.journeys import Journeys
from posthouse.server.queue_changes import EXIT_NOT_FOUND, Queue, domain_of, not_found
from posthouse.server.requests import AnyWorkerRequest
from posthouse.server.troubles import EXIT_CONFIGURATION, StartError
from posthouse.spool.records import StorageError
from posthouse.telemetry.case import Case
from posthouse.telemetry.events import Noted

THREADS: Final = 4  # requests that are answered at the same time
TAIL_SECONDS: Final = 0.3  # between looks at new decisions
EXIT_TRY_AGAIN: Final = 5
SHOWN_OCTETS_MAX: Final = 1_000_000
T = TypeVar("T")


class Operations:
    """Performs requests on a running server.

    Args:
        server: The server.
        reload: Reads the configuration again; raises StartError with what is wrong.
        stop: Begins to stop.
    """

    def __init__(
        self, server: Server, reload: Callable[[str], None], stop: Callable[[str], None]
    ) -> None:
        self._server = server
        self._reload = reload
        self._stop = stop
        self._journeys = Journeys(server.stores.spool, server.stores.cases)
        self._queue = Queue(server.stores.spool, server.log)
        # Not the loop's own threads: who looks long does not keep deliveries waiting.
        self._threads = ThreadPoolExecutor(THREADS, "control")

    async def perform(self, request: AnyWorkerRequest, by: str) -> Any:  # noqa: ANN401 - JSON
        """Do what is asked.

        Raises:
            RefusedRequestError: If it cannot be done.
        """
        try:
            return await self._perform(request, by)
        except (StorageError, StoreError) as problem:
            raise RefusedRequestError(str(problem), EXIT_TRY_AGAIN) from None

    async def _perform(self, request: AnyWorkerRequest, by: str) -> Any:  # noqa: ANN401 - JSON
        match request:
            case requests.Status():
                return await self._in_thread(self._status)
            case requests.Reload():
                return self._reload_now(by)
            case requests.Stop():
                self._stop(f"asked by {by}")
                return "stopping"
            case requests.GrantsChanged():
                return self._server.use_changed_grants()
            case requests.DecisionsTail():
                return self._tail(request)
            case requests.ClientFacts():
                return self._client_facts(request)
            case requests.StandIn() | requests.TakeOver() | requests.TakeNoMore():
                return await self._for_another(request)
            case _:
                return await self._in_thread(partial(self._on_queue, request, by))

    async def _for_another(
        self, request: requests.StandIn | requests.TakeOver | requests.TakeNoMore
    ) -> int:
        entrances = self._server.entrances
        match request:
            case requests.TakeOver():
                return await self._server.legacies.take_over(request.number)
            case requests.TakeNoMore():
                entrances.close()
            case requests.StandIn(number=number, serves=True):
                await entrances.stand_in(number)
            case requests.StandIn(number=number):
                entrances.leave(number)
        return 0

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _on_queue(self, request: AnyWorkerRequest, by: str) -> Any:  # noqa: ANN401 - JSON
        """Look at the queue, or change it; blocks until a change is committed."""
        match request:
            case requests.QueueSummary():
                return self._queue.summary(request)
            case requests.QueueList():
                return self._queue.list(request)
            case requests.QueueShow():
                return self._show(request)
            case requests.Journey():
                return self._journeys.about(request.what, max(1, min(request.limit, 200)))
            case requests.QueuePause() | requests.QueueResume():
                return self._pause(request, by)
            case _ if isinstance(request, requests.QueueChange):
                return self._queue.change(request, by)
            case _:
                raise RefusedRequestError("this version does not know that request", 2)

    def _pause(self, request: requests.QueuePause | requests.QueueResume, by: str) -> bool:
        """Change whether mail goes to a destination at all."""
        spool, destination = self._server.stores.spool, domain_of(request.destination)
        if isinstance(request, requests.QueuePause):
            why = f"{request.because or 'no reason given'} (by {by})"
            spool.pause(destination, why)
            self._server.log(Noted(f"mail for {destination} is paused: {why}"))
            return True
        if not spool.resume(destination):
            raise RefusedRequestError(f"{destination} is not paused", EXIT_NOT_FOUND)
        self._server.log(Noted(f"mail for {destination} goes on (by {by})"))
        return True

    def _show(self, request: requests.QueueShow) -> dict[str, Any]:
        spool = self._server.stores.spool
        message, journey = spool.message(request.id), spool.journey(request.id)
        if message is None and not journey:
            raise not_found(request.id)
        answer: dict[str, Any] = {
            "message": msgspec.to_builtins(message),
            "journey": msgspec.to_builtins(journey),
        }
        if request.octets and message is not None:
            answer["content"] = self._beginning(request.id, request.octets)
        return answer

    def _beginning(self, message_id: str, octets: int) -> str:
        wanted, parts = min(octets, SHOWN_OCTETS_MAX), b""
        for part in self._server.stores.spool.content(message_id):
            parts += part
            if len(parts) >= wanted:
                break
        return parts[:wanted].decode("utf-8", "backslashreplace")

    def _status(self) -> dict[str, Any]:
        server = self._server
        summary = server.stores.spool.summary(limit=0)
        trouble = server.stores.spool.trouble or server.stores.spool.shortage
        problems = [
            str(problem)
            for problem in (
                trouble,
                server.stores.cases.problem,
                server.stores.pop_sign_ins.problem,
                server.stores.usage.problem,
            )
            if problem
        ]
        return {
            "version": __version__,
            "hostname": server.rules.hostname,
            "started": server.started.isoformat(timespec="seconds"),
            "listeners": server.listeners,
            "sessions": server.incoming.census.sessions,
            "messages": summary.messages,
            "held": summary.held,
            "doors": len(server.rules.doors),
            "unreadable_names": sorted(server.watched.unreadable()),
            "lost_addresses": [
                f"{it.evidence}{'; relaying by address stopped' if it.stops_relaying else ''}"
                for it in server.incoming.lost_addresses.lost(server.now())
            ],
            **self._shadow(),
            "workers": 1,
            "problems": problems,
        }

    def _shadow(self) -> dict[str, Any]:
        shadow = self._server.incoming.smtp.recorder.shadow
        if shadow is None:
            return {}
        return {
            "shadow": f"{shadow.name}: {shadow.differences.total()} of {shadow.asked} differ",
            "shadow_differences": shadow.in_words(),
        }

    def _reload_now(self, by: str) -> str:
        try:
            self._reload(by)
        except StartError as problem:
            raise RefusedRequestError(str(problem), EXIT_CONFIGURATION) from None
        return "reloaded"

    async def _tail(self, request: requests.DecisionsTail) -> AsyncIterator[Any]:
        cases = await asyncio.to_thread(self._server.stores.cases.follower)
        try:
            after = max(0, await asyncio.to_thread(cases.newest) - max(0, request.past))
            while True:
                for number, case in await asyncio.to_thread(cases.tail, after):
                    after = number
                    if _is_followed(case, request):
                        yield msgspec.to_builtins(case)
                await asyncio.sleep(TAIL_SECONDS)
        finally:
            cases.close()

    def _client_facts(self, request: requests.ClientFacts) -> dict[str, Any]:
        try:
            address = fold(ip_address(request.address))
        except ValueError:
            raise RefusedRequestError(f"{request.address!a} is no IP address", 2) from None
        server = self._server
        windows = server.stores.pop_sign_ins.sessions_from(address)
        names = server.watched.names_at(address, server.now())
        return {
            "pop_sessions": [{"account": name, "last_command": at} for name, at in windows],
            "watched_names": msgspec.to_builtins(names),
            "unreadable": sorted(server.watched.unreadable()),
            "address_lost": server.incoming.lost_addresses.evidence(address, server.now()),
        }


def _is_followed(case: Case, request: requests.DecisionsTail) -> bool:
    return (
        request.person in f"{case.account} {case.reverse_path} {case.forward_path}"
        and request.client in ("", case.client)
        and request.reason in ("", case.reason)
    )
