"""Requests to the server, and SIGTERM, for code under asyncio. Imported only by programs that run a loop.

One connection for each loop, many requests on it at once. It is open only while somebody uses it, so that a
loop that closes leaves nothing behind. Deliberately no task of its own: `asyncio.all_tasks()` is the author's.
"""

from __future__ import annotations

import asyncio
from _socket import MSG_DONTWAIT
from weakref import WeakKeyDictionary

from ._errors import FlowError
from ._requests import AGAIN_SECONDS, encode_event, encode_request, lost, result_of, wait_for_it
from ._transport import MSG_NOSIGNAL, connect, wire
from ._wire import decode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ._memory import Step
    from ._stop import Stopper

    Answer = asyncio.Future[Any]


class _Multiplexer:
    """The connection of one loop. Sends block, as events do: the kernel takes a request in microseconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.generation = wire.generation
        self._sock = connect(wire.path)
        self._parts: list[bytes] = []
        self._pending: dict[int, Answer] = {}
        self.users = 0
        """Calls that will still send something: a connection with an answer less to wait for is not idle yet."""
        loop.add_reader(self._sock.fileno(), self._readable)

    def send(self, number: int, line: bytes) -> Answer:
        self._sock.sendall(line, MSG_NOSIGNAL)
        answer: Answer = self._loop.create_future()
        # Nobody may be left to look at it (a cancel that nobody awaits): not worth a warning.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._pending[number] = answer
        return answer

    def _readable(self) -> None:
        try:
            data = self._sock.recv(262_144, MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            return self.close(error)
        if not data:
            return self.close("it closed the connection")
        self._parts.append(data)
        if b"\n" in data:
            *lines, rest = b"".join(self._parts).split(b"\n")
            self._parts = [rest]
            for line in lines:
                self._take(line)
            self.close_if_idle()

    def _take(self, line: bytes) -> None:
        try:
            message = decode_json(line.decode())
        except ValueError as error:
            return self.close(error)
        answer = self._pending.pop(message.get("id"), None)
        if answer is None or answer.done():
            return
        try:
            answer.set_result(result_of(message))
        except FlowError as error:
            answer.set_exception(error)

    def close_if_idle(self) -> None:
        if not self._pending and not self.users:
            self.close("idle")

    def close(self, reason: object) -> None:
        if _open.get(self._loop) is not self:
            return  # closed already, for a better reason
        del _open[self._loop]
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        pending, self._pending = self._pending, {}
        error = lost(reason) if pending else None
        for answer in pending.values():
            if not answer.done() and error is not None:
                answer.set_exception(error)


_open: WeakKeyDictionary[asyncio.AbstractEventLoop, _Multiplexer] = WeakKeyDictionary()


def _connection() -> _Multiplexer:
    loop = asyncio.get_running_loop()
    connection = _open.get(loop)
    if connection is None or connection.generation is not wire.generation:
        try:
            connection = _open[loop] = _Multiplexer(loop)
        except OSError as error:
            raise lost(error) from None
    return connection


def send(method: str, params: dict[str, Any]) -> Answer:
    """Send now; the answer is a future of the running loop."""
    return _send(*encode_request(method, params))


def acknowledged(event: str) -> Answer:
    """Send an event (the members of its line) now; the future is there when the server has committed it."""
    return _send(*encode_event(event))


def _send(number: int, line: bytes) -> Answer:
    connection = _connection()
    try:
        return connection.send(number, line)
    except OSError as error:
        connection.close(error)
        raise lost(error) from None


async def run_child(params: dict[str, Any], step: Step) -> tuple[str, dict[str, Any]]:
    """Start a child play and wait for its end. If the waiting is cancelled, so is the child; where the play is stopped,
    its server sees to that, and lets both go on where it is only stopped itself."""
    connection = _connection()
    connection.users += 1
    try:
        return await _start_and_wait(params, step)
    finally:
        connection.users -= 1
        connection.close_if_idle()


async def _start_and_wait(params: dict[str, Any], step: Step) -> tuple[str, dict[str, Any]]:
    sid = await _start(params)
    try:
        record = await insist("play_wait", {"play_sid": sid, "or_awaiting": bool(step.key)})
        if record["status"] == "awaiting_resume":
            from ._pause import rest_async

            record = await rest_async(step, params["name"], sid)
        return sid, record
    except asyncio.CancelledError:
        _cancel(sid)
        raise


async def _start(params: dict[str, Any]) -> str:
    told = False
    while True:
        invoked = send("flow_invoke", params)
        try:
            sid: str = (await asyncio.shield(invoked))["play_sid"]
            return sid
        except asyncio.CancelledError:
            # The child may exist already. Its sid is a moment away, and without it nobody would stop the child.
            try:
                _cancel((await invoked)["play_sid"])
            except FlowError:
                pass
            raise
        except FlowError as error:
            told = wait_for_it(error, told)
        await asyncio.sleep(AGAIN_SECONDS)


async def insist(method: str, params: dict[str, Any]) -> Any:
    """As that of `_requests`."""
    told = False
    while True:
        try:
            return await send(method, params)
        except FlowError as error:
            told = wait_for_it(error, told)
        await asyncio.sleep(AGAIN_SECONDS)


def _cancel(sid: str) -> None:
    """Ask for the child's end, and leave the answer: the parent's own cancellation must not wait for it."""
    if wire.stopping:
        return
    try:
        send("play_cancel", {"play_sid": sid})
    except FlowError:
        pass


async def request(method: str, params: dict[str, Any]) -> Any:
    return await send(method, params)


flow_task: asyncio.Task[Any] | None = None
"""In which the play's flow runs, where it is async."""


def run_main(work: Callable[[], Any], stopper: Stopper) -> Any:
    """`asyncio.run` for the play's flow: its own exception, without asyncio's frames, and with a way to stop it."""

    async def main() -> tuple[Any, BaseException | None]:
        global flow_task
        flow_task = task = asyncio.current_task()
        loop = asyncio.get_running_loop()

        def stop() -> bool:
            """Cancel the flow; True if a task is running right now, whose code then needs the exception itself."""
            running = asyncio.current_task(loop)
            if task is not None and running is not task:  # else a pending cancel would cut its `finally` short
                task.cancel()
            loop.call_soon_threadsafe(lambda: None)  # wake the selector up
            return running is not None

        stopper.stop_loop = stop
        try:
            return await work(), None
        except BaseException as error:
            return None, error
        finally:
            stopper.stop_loop = None

    value, error = asyncio.run(main())
    if error is not None:
        raise error
    return value
