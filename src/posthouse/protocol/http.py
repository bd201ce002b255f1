"""One request of the web and its answer (HTTP/1.1, RFC 9112): octets in and out, with hard limits.

For small answers of machines: settings, policies, what is said of a token. A connection carries
one exchange; what h11 leaves to us are the limits, and that no answer is taken for one that is cut.
"""

from collections.abc import Mapping
from typing import Final

import h11
from msgspec import Struct

HEAD_OCTETS_MAX: Final = 16 * 1024
BODY_OCTETS_MAX: Final = 64 * 1024
_STEP_OCTETS: Final = 1024


class HttpError(Exception):
    """There is no usable answer; the message says why."""


class HttpAnswer(Struct, frozen=True):
    """What a web server answered.

    Attributes:
        status: Such as 200.
        fields: By lower-case name; of several with one name the last.
        body: At most `BODY_OCTETS_MAX`.
    """

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """In lower case, without parameters."""
        return self.fields.get("content-type", "").partition(";")[0].strip().lower()


class HttpExchange:
    """One request, and its answer as it comes: send `octets`, then `receive` until it is whole."""

    def __init__(
        self, verb: str, host: str, target: str, fields: Mapping[str, str], body: bytes = b""
    ) -> None:
        """Write the request.

        Args:
            verb: ``GET`` or ``POST``.
            host: For the Host field, with its port where that is not the usual one.
            target: Path and query.
            fields: Besides Host, Connection and Content-Length.
            body: What is sent.

        Raises:
            HttpError: If the target or a field cannot stand in a request.
        """
        plain = target.isascii() and target.isprintable() and " " not in target
        if not (plain and target.startswith("/")):
            raise HttpError(f"{target!a} is no path of a web address")
        headers = [("Host", host), ("Connection", "close"), *fields.items()]
        if body or verb == "POST":
            headers.append(("Content-Length", str(len(body))))
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_OCTETS_MAX)
        self._response: h11.Response | None = None
        self._body = bytearray()
        try:
            octets = self._connection.send(h11.Request(method=verb, target=target, headers=headers))
            if body:
                octets += self._connection.send(h11.Data(data=body))
            octets += self._connection.send(h11.EndOfMessage())
        except h11.LocalProtocolError as problem:
            raise HttpError(f"this cannot be asked: {problem}") from None
        self.octets = octets
        """The request on the wire."""

    def receive(self, octets: bytes) -> HttpAnswer | None:
        """Take what came, b"" for the end of the connection; return the answer once it is whole.

        Raises:
            HttpError: If it is no answer, too long, or cut off.
        """
        try:
            for at in range(0, max(1, len(octets)), _STEP_OCTETS):  # h11 bounds what is incomplete
                self._connection.receive_data(octets[at : at + _STEP_OCTETS])
                if (answer := self._look()) is not None:
                    return answer
        except h11.RemoteProtocolError as problem:
            raise HttpError(_in_words(problem)) from None
        return None

    def _look(self) -> HttpAnswer | None:
        while True:
            event = self._connection.next_event()
            match event:
                case h11.Response():
                    self._response = event
                    self._check_length(event)
                case h11.Data():
                    self._body += event.data
                    if len(self._body) > BODY_OCTETS_MAX:
                        raise HttpError("the answer is too long")
                case h11.EndOfMessage():
                    return self._answer()
                case h11.ConnectionClosed():
                    raise HttpError("the connection was cut off")
                case h11.InformationalResponse():
                    pass
                case _:  # more is needed
                    return None

    def _check_length(self, response: h11.Response) -> None:
        for name, value in response.headers:
            if name == b"content-length" and int(value[:10]) > BODY_OCTETS_MAX:
                raise HttpError("the answer is too long")

    def _answer(self) -> HttpAnswer:
        response = self._response
        assert response is not None, "its end has come"
        fields = {name.decode("ascii"): value.decode("latin-1") for name, value in response.headers}
        return HttpAnswer(response.status_code, fields, bytes(self._body))


def _in_words(problem: h11.RemoteProtocolError) -> str:
    words = str(problem)
    if "Receive buffer too long" in words:
        return "the head of the answer is too long"
    if "illegal status line" in words or "no response line" in words:
        return "this is no web server"
    if "closed connection" in words or "ConnectionClosed" in words:
        return "the connection was cut off"
    return words
