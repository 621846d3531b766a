"""`flow.invoke` and `flow.invoke_async`: run another flow in this process, or as a child play.

Where the flow comes from (same source, else the library) and where it runs (here, or in a play of its own)
are decided here, once, for both. Without a server only flows of the same source can be run, in-process.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from _thread import RLock
from itertools import count

from ._errors import ChildFailed, FlowError
from ._registry import NoFlow, bind, choose, find, is_async
from ._transport import wire
from ._wire import decode_json, encode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Callable

    from ._memory import Step

    Flow = Callable[..., Any]

INLINE_BYTES = 256 * 1024
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_SPACE_PAUSE = 0.2  # seconds
_library: dict[str, Flow] = {}
_library_lock = RLock()
_payloads = count(1)


def invoke(name: str, spawn: bool, inputs: dict[str, Any], source: str, caller: FrameType) -> Any:
    if spawn and wire.path:
        return _spawn(name, inputs, source, caller)
    flow = find(name, source)
    if flow is None:
        _need_server(name)
        from ._requests import request

        flow = _load(name, request("flow_resolve", {"name": name}))
    args, kwargs = bind(flow, inputs)
    return _block_on(flow, args, kwargs) if is_async(flow) else flow(*args, **kwargs)


async def invoke_async(name: str, spawn: bool, inputs: dict[str, Any], source: str, place: tuple[str, int]) -> Any:
    if spawn and wire.path:
        from . import _aio
        from ._durable import perform_async
        from ._memory import Step
        from ._options import PLAIN

        step = Step(name, "subflow", _tags_of(inputs), *place)

        async def work(**inputs: Any) -> Any:
            sid, record = await _aio.run_child(_call_params(name, inputs, source, step), step)
            return outcome(name, sid, record)

        return await perform_async(step, work, (), inputs, PLAIN)
    flow = find(name, source)
    if flow is None:
        _need_server(name)
        from . import _aio

        flow = _load(name, await _aio.request("flow_resolve", {"name": name}))
    args, kwargs = bind(flow, inputs)
    if is_async(flow):
        return await flow(*args, **kwargs)
    import asyncio

    return await asyncio.to_thread(flow, *args, **kwargs)


def _spawn(name: str, inputs: dict[str, Any], source: str, caller: FrameType) -> Any:
    from ._durable import perform
    from ._memory import Step
    from ._options import PLAIN

    step = Step(name, "subflow", _tags_of(inputs), caller.f_code.co_filename, caller.f_lineno)

    def work(**inputs: Any) -> Any:
        sid, record = _run_child(_call_params(name, inputs, source, step), step)
        return outcome(name, sid, record)

    return perform(step, work, (), inputs, PLAIN)


def _run_child(params: dict[str, Any], step: Step) -> tuple[str, dict[str, Any]]:
    from ._requests import insist, request

    sid = insist("flow_invoke", params)["play_sid"]
    try:
        record = insist("play_wait", {"play_sid": sid, "or_awaiting": bool(step.key)})
        if record["status"] == "awaiting_resume":
            from ._pause import rest

            record = rest(step, params["name"], sid)
        return sid, record
    except FlowError:
        raise
    except BaseException:  # a signal handler raised: nobody waits for the child any more
        if wire.stopping:
            raise  # the server sees to the child, which goes on where the server is only stopped itself
        try:
            request("play_cancel", {"play_sid": sid})
        except FlowError:
            pass
        raise


def _tags_of(inputs: dict[str, Any]) -> dict[str, Any]:
    """What tells one call from the next: the inputs that are short. All of them are in the child's record."""
    return {
        key: value
        for key, value in inputs.items()
        if isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= 100)
    }


def _call_params(name: str, inputs: dict[str, Any], source: str, step: Step) -> dict[str, Any]:
    params: dict[str, Any] = {"name": name, "span_id": step.span_id}
    if step.key:
        params["key"] = step.key
    if find(name, source) is not None:
        # A flow of the caller's own source: that version of it, not what the library has under this name.
        params["version_sid"] = source or wire.version
    data = encode_json(inputs, "inputs")
    if len(data) > INLINE_BYTES:
        params["inputs_file"] = store_payload("inputs", data)
    else:
        params["inputs"] = inputs
    return params


def store_payload(what: str, data: bytes) -> str:
    """Write a payload that is too large for a line into the play's spool directory; its bare name."""
    if not wire.spool:
        raise FlowError(f"failed to pass on {len(data)} bytes ({what}): HERO_FLOW_SPOOL is not set", "too_large")
    name = f"{what}-{wire.attempt}-{os.getpid()}-{next(_payloads)}.json"
    path = os.path.join(wire.spool, name)
    told = False
    while True:
        try:
            with open(path, "wb") as file:
                file.write(data)
            return name
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise
            # What the flow has worked out is not lost to a disk that is full for a while: it waits, as the
            # server does with what it can't write. The play's timeout still holds.
            if not told:
                told = True
                print(f"no space for {len(data)} bytes ({what}): {error}; waiting", file=sys.stderr)
            try:
                os.unlink(path)  # What there is of it.
            except OSError:
                pass
            time.sleep(_SPACE_PAUSE)


def outcome(name: str, sid: str, record: dict[str, Any]) -> Any:
    """What the child returned, or its failure as ours."""
    status, cause = record.get("status"), record.get("cause")
    if status == "success":
        text = record.get("output_data")
        return None if text is None else decode_json(text)
    reason = cause.get("message") if isinstance(cause, dict) else None
    raise ChildFailed(f"flow {name!r} {status}: {reason or 'no reason given'}", sid, str(status), cause)


def _need_server(name: str) -> None:
    if not wire.path:
        raise FlowError(
            f"failed to find flow {name!r}: this source does not define it, and without a hero_logic server "
            "there is no library; run the flow with `hero_logic run`",
            "unavailable",
        )


def _load(name: str, found: dict[str, Any]) -> Flow:
    """A library flow in this process: its source as a module of its own, once for each version."""
    version = found["version_sid"]
    with _library_lock:
        flow = _library.get(version)
        if flow is None:
            from ._source import StoredSource

            stored = StoredSource(found["source"], found.get("file") or f"{name}.py")
            module = stored.load("hero_library_" + version.replace("-", "_"), {"__hero_source__": version})
            try:
                flow, _ = choose(module, found.get("flow"), name)
            except NoFlow as error:
                raise FlowError(str(error), "invalid_input") from None
            _library[version] = flow
    return flow


def _block_on(flow: Flow, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The result of an async flow for a caller that does not await."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(flow(*args, **kwargs))
    # A loop is running in this thread, and loops don't nest: the flow gets a thread and a loop of its own.
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, asyncio.run, flow(*args, **kwargs)).result()


def caller_of(depth: int) -> FrameType:
    return sys._getframe(depth + 1)
