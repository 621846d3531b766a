"""Requests of this play to the server, for code that may block: one connection for each thread.

The connection is apart from the event stream's, so that waiting for an answer never holds up events.

A server that has died takes its plays with it: their processes are frozen or killed in a moment, and what they had
come to goes on in another one. So the author's code is not told of it in that moment: whatever it did about it would
be done beside the next attempt.
"""

from __future__ import annotations

import sys
from _thread import _local
from itertools import count
from time import sleep

from ._errors import FlowError
from ._transport import MSG_NOSIGNAL, connect, wire
from ._wire import decode_json, encode_json, to_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

AGAIN_SECONDS = 0.2
"""After how long a server that can't do something now is asked again."""
LINE_BYTES = 1024 * 1024
"""The server reads no longer line."""
HELD_SECONDS = 2.0
"""How long after its server a process is there at most; later, it is the connection that is broken."""

_here = _local()
_ids = count(1)


def request(method: str, params: dict[str, Any], idle: tuple[float, Callable[[], None]] | None = None) -> Any:
    """Call the server and wait for its answer; a FlowError if it refuses or is not there. While none comes, what is
    `idle` is called each so many seconds."""
    return _answer(f"call {method}", *encode_request(method, params), idle)


def insist(method: str, params: dict[str, Any]) -> Any:
    """As `request`; again and again while the server can't do it now, because it is being stopped or its disk is full.
    The play's timeout still holds."""
    told = False
    while True:
        try:
            return request(method, params)
        except FlowError as error:
            told = wait_for_it(error, told)
        sleep(AGAIN_SECONDS)


def wait_for_it(error: FlowError, told: bool) -> bool:
    """Says once that it is waited for; raises what can't be waited for."""
    if error.kind != "unavailable" or wire.stopping or not getattr(error, "__hero_refused__", False):
        raise error
    if not told:
        print(f"{error}; waiting", file=sys.stderr)
    return True


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
            raise lost(error) from None
        raise
    if answer.get("id") != number:
        _here.connection = None
        raise FlowError(f"failed to {what}: the server answered another request", "internal")
    return result_of(answer)


def encode_request(method: str, params: dict[str, Any]) -> tuple[int, bytes]:
    number = next(_ids)
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return number, _bounded(encode_json(message, method), f"call {method}") + b"\n"


def encode_event(members: str) -> tuple[int, bytes]:
    """A line that is an event, and is answered."""
    number = next(_ids)
    return number, _bounded(to_bytes(f'{{"jsonrpc":"2.0","id":{number},{members}}}'), "say what happened") + b"\n"


def _bounded(line: bytes, what: str) -> bytes:
    if len(line) > LINE_BYTES:
        raise FlowError(f"failed to {what}: that takes {len(line)} bytes, and at most {LINE_BYTES} go at once", "too_large")
    return line


def result_of(answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    if error is None:
        return answer.get("result")
    data = error.get("data")
    kind = data.get("kind") if isinstance(data, dict) else None
    refusal = FlowError(str(error.get("message") or "the server refused"), str(kind or "internal"))
    refusal.__hero_refused__ = True  # type: ignore[attr-defined]
    raise refusal


def lost(error: object) -> FlowError:
    """What to raise where the server can't be reached, once it is sure that this process is not about to end with it."""
    sleep(HELD_SECONDS)
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
