"""Requests of this play to the server, for code that may block: one connection for each thread.

The connection is apart from the event stream's, so that waiting for an answer never holds up events.
"""

from __future__ import annotations

from _thread import _local
from itertools import count

from ._errors import FlowError
from ._transport import MSG_NOSIGNAL, connect, wire
from ._wire import decode_json, encode_json, to_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_here = _local()
_ids = count(1)


def request(method: str, params: dict[str, Any], idle: tuple[float, Callable[[], None]] | None = None) -> Any:
    """Call the server and wait for its answer; a FlowError if it refuses or is not there. While none comes, what is
    `idle` is called each so many seconds."""
    return _answer(f"call {method}", *encode_request(method, params), idle)


def acknowledged(event: str) -> Any:
    """Send an event (the members of its line), and wait until the server has committed it."""
    return _answer("hear of a commit", *encode_event(event))


def _answer(what: str, number: int, line: bytes, idle: tuple[float, Callable[[], None]] | None = None) -> Any:
    try:
        connection = _connection()
        connection.sock.sendall(line, MSG_NOSIGNAL)
        if idle is not None:
            connection.wait(*idle)
        answer = decode_json(connection.read_line().decode())
    except BaseException as error:
        # Also when a signal handler raised: the answer that is still under way belongs to nobody.
        _here.connection = None
        if isinstance(error, OSError) and (error.errno is not None or type(error) is OSError):
            raise unavailable(error) from None
        raise
    if answer.get("id") != number:
        _here.connection = None
        raise FlowError(f"failed to {what}: the server answered another request", "internal")
    return result_of(answer)


def encode_request(method: str, params: dict[str, Any]) -> tuple[int, bytes]:
    number = next(_ids)
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return number, encode_json(message, method) + b"\n"


def encode_event(members: str) -> tuple[int, bytes]:
    """A line that is an event, and is answered."""
    number = next(_ids)
    return number, to_bytes(f'{{"jsonrpc":"2.0","id":{number},{members}}}\n')


def result_of(answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    if error is None:
        return answer.get("result")
    data = error.get("data")
    kind = data.get("kind") if isinstance(data, dict) else None
    raise FlowError(str(error.get("message") or "the server refused"), str(kind or "internal"))


def unavailable(error: object) -> FlowError:
    return FlowError(f"failed to reach the hero_logic server: {error}; is it still running?", "unavailable")


class _Connection:
    def __init__(self) -> None:
        self.generation = wire.generation
        self.sock = connect(wire.path)
        self._rest = b""

    def wait(self, seconds: float, idle: Callable[[], None]) -> None:
        """Until there is something to read."""
        from select import select

        while not self._rest and not select([self.sock], [], [], seconds)[0]:
            idle()

    def read_line(self) -> bytes:
        parts = [self._rest]
        while b"\n" not in parts[-1]:
            data = self.sock.recv(262_144)
            if not data:
                raise ConnectionResetError(104, "it closed the connection")
            parts.append(data)
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line


def _connection() -> _Connection:
    connection: _Connection | None = getattr(_here, "connection", None)
    if connection is None or connection.generation is not wire.generation:
        if not wire.path:
            raise FlowError("failed to reach a hero_logic server: this process is not part of a play", "unavailable")
        connection = _here.connection = _Connection()
    return connection
