"""Waiting without a process: for a person's answer, for an event, for a time.

A wait is a durable step whose result comes from outside. The server is told of it; where there is no result yet the
process ends with exit code 75, once nothing else is under way in it, and the attempt that follows the answer comes
back to the same line with it. Nothing is unwound: as at a crash, no `finally` and no `except` of the flow sees it.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import _count as other_threads

from ._durable import check_begun, come_to, do, do_async
from ._errors import FlowError
from ._memory import Memory, Step, memory
from ._options import PLAIN
from ._requests import acknowledged, request
from ._transport import wire
from ._values import digest
from ._wire import decode_json, encode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from typing import Any, NoReturn

    Place = tuple[str, int]

AWAITING = 75
"""The exit code of a play that awaits an answer."""
SHORT_SECONDS = 5.0
"""A sleep that is shorter stays in its process: to leave and to come back would cost more than it saves."""
STILL_SECONDS = 0.02
"""Nothing has begun for so long: what else is under way in the process waits too."""

NO_DEFAULT = object()


class Wait:
    """What is waited for."""

    __slots__ = ("kind", "name", "schema", "ui", "until", "default", "step", "args")

    def __init__(
        self,
        kind: str,
        name: str,
        place: Place,
        schema: Any = None,
        ui: Any = None,
        timeout: float | timedelta | datetime | None = None,
        default: Any = NO_DEFAULT,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"a wait has a name, a text that is not empty, not {name!r}")
        self.kind = kind
        self.name = name
        self.schema = schema
        self.ui = ui
        self.until = None if timeout is None else _epoch_seconds(timeout)
        self.default = default
        self.step = Step(f"{kind}:{name}" if name != kind else kind, "other", {}, *place)
        self.step.bare = True
        self.args = "" if schema is None and ui is None else digest((schema, ui), {})
        """What is asked: another text, schema or form is another question."""

    def event(self) -> str:
        said: dict[str, Any] = {"kind": self.kind, "name": self.name}
        if self.schema is not None:
            said["schema"] = self.schema
        if self.ui is not None:
            said["ui"] = self.ui
        if self.until is not None:
            said["wake_at"] = self.until * 1000
        if self.default is not NO_DEFAULT:
            said["default"] = self.default
        text = encode_json(said, f"the question {self.name!r}").decode()
        return f'"type":"pause","span_id":"{self.step.span_id}","wait":{text}'


def _epoch_seconds(when: float | timedelta | datetime) -> float:
    if isinstance(when, (int, float)) and not isinstance(when, bool):
        if not 0 <= when < 1e10:
            raise ValueError(f"a time to wait is 0 seconds or more, not {when!r}")
        return time.time() + when
    seconds = getattr(when, "total_seconds", None)
    if seconds is not None:
        return _epoch_seconds(seconds())
    stamp = getattr(when, "timestamp", None)
    if stamp is None:
        raise TypeError(f"a time is seconds from now, a timedelta or a datetime, not {type(when).__name__}")
    return float(stamp())


def wait(what: Wait) -> Any:
    """The answer, now or in a later attempt."""
    here = memory()
    if here is None:
        return _without_server(what)
    kept = here.enter(what.step, what.args)
    if kept is not None:
        return come_to(kept.raised, kept.data())
    if here.beside(loop=True):
        raise FlowError(
            f"failed to wait for {what.name!r} here: that holds up the event loop, on which other steps are under way; "
            "use `await` and the method whose name ends with _async",
            "conflict",
        )
    return _ask(here, what)


def _ask(here: Memory, what: Wait) -> Any:
    here.begin(what.step)
    try:
        what.step.__enter__()
        check_begun(what.step)
        answer = acknowledged(what.event())
        what.step.hand_over()
    except BaseException as error:
        what.step.close(error)
        here.end(what.step)
        raise
    if answer["settled"]:
        here.end(what.step)
        return come_to("raised" in answer, answer.get("raised", answer.get("payload")))
    _leave(here, what.step)


async def wait_async(what: Wait) -> Any:
    """As `wait`, for code under asyncio: what else runs on the loop goes on meanwhile."""
    here = memory()
    if here is None:
        return _without_server(what)
    kept = here.enter(what.step, what.args)
    if kept is not None:
        return come_to(kept.raised, kept.data())
    return await _ask_async(here, what)


async def _ask_async(here: Memory, what: Wait) -> Any:
    import asyncio

    from . import _aio

    here.begin(what.step)
    try:
        what.step.__enter__()
        check_begun(what.step)
        answer = await _aio.acknowledged(what.event())
        what.step.hand_over()
    except BaseException as error:
        what.step.close(error)
        here.end(what.step)
        raise
    if answer["settled"]:
        here.end(what.step)
        return come_to("raised" in answer, answer.get("raised", answer.get("payload")))
    here.rest(what.step)
    still = _Still(here)
    while not still():
        await asyncio.sleep(STILL_SECONDS)
    _exit()


def rest(step: Step, name: str, sid: str) -> dict[str, Any]:
    """A child play awaits something itself: so does its caller, in this step. The child's record where that came to its
    end while the process was still needed for something else."""
    here = _resting_in(step)
    acknowledged(_for_child(step, name, sid))
    here.rest(step)
    if _alone(here):
        _exit()
    still = _Still(here)

    def leave_when_still() -> None:
        if still():
            _exit()

    try:
        record: dict[str, Any] = request("play_wait", {"play_sid": sid}, (STILL_SECONDS, leave_when_still))
        return record
    finally:
        here.go_on(step)


async def rest_async(step: Step, name: str, sid: str) -> dict[str, Any]:
    """As `rest`, for code under asyncio."""
    import asyncio

    from . import _aio

    here = _resting_in(step)
    await _aio.acknowledged(_for_child(step, name, sid))
    here.rest(step)
    still, waiting = _Still(here), _aio.send("play_wait", {"play_sid": sid})
    try:
        while not (await asyncio.wait({waiting}, timeout=STILL_SECONDS))[0]:
            if still():
                _exit()
        record: dict[str, Any] = waiting.result()
        return record
    finally:
        here.go_on(step)


def _resting_in(step: Step) -> Memory:
    here = memory()
    if here is None:
        raise FlowError(f"failed to wait for a child play in step {step.name!r}: its process is not the play's root any more")
    return here


def _for_child(step: Step, name: str, sid: str) -> str:
    wait = encode_json({"kind": "play", "name": name, "child": sid}, "the wait for a child").decode()
    return f'"type":"pause","span_id":"{step.span_id}","wait":{wait}'


class _Still:
    """Whether nothing else is under way in the process, and nothing has begun since this was asked before."""

    def __init__(self, here: Memory) -> None:
        self._here = here
        self._begun = -1

    def __call__(self) -> bool:
        before, self._begun = self._begun, self._here.begun
        return before == self._begun and not self._here.active


def sleep(when: float | timedelta | datetime, place: Place) -> None:
    """For so long, or until then; the end is the same on each attempt."""
    what, left = _nap(when, place)
    here = memory()
    if here is None:
        time.sleep(left)
    elif here.enter(what.step, "") is None:
        if left > SHORT_SECONDS:
            _ask(here, what)
        else:
            do(what.step, here, time.sleep, (_rest_of(left, what.step, when),), {}, PLAIN)


async def sleep_async(when: float | timedelta | datetime, place: Place) -> None:
    import asyncio

    what, left = _nap(when, place)
    here = memory()
    if here is None:
        await asyncio.sleep(left)
    elif here.enter(what.step, "") is None:
        if left > SHORT_SECONDS:
            await _ask_async(here, what)
        else:
            await do_async(what.step, here, asyncio.sleep, (_rest_of(left, what.step, when),), {}, PLAIN)


def _nap(when: float | timedelta | datetime, place: Place) -> tuple[Wait, float]:
    what = Wait("sleep", "sleep", place, timeout=when)
    return what, max((what.until or 0) - time.time(), 0)


def _rest_of(seconds: float, step: Step, when: float | timedelta | datetime) -> float:
    """Of a sleep that an earlier attempt began."""
    if step.begun_ms is None or hasattr(when, "timestamp"):
        return seconds
    return min(max(seconds - (time.time() - step.begun_ms / 1000), 0), seconds)


def _leave(here: Memory, step: Step) -> NoReturn:
    here.rest(step)
    still = _Still(here)
    while not _alone(here) and not still():
        time.sleep(STILL_SECONDS)
    _exit()


def _alone(here: Memory) -> bool:
    """Nothing else can be under way, or come to be: no step is, and there is no thread that might begin one. Who blocks
    a loop would wait for ever for what else runs on it."""
    if here.beside():
        return False
    asyncio = sys.modules.get("asyncio")
    return not other_threads() or (asyncio is not None and asyncio._get_running_loop() is not None)


def _exit() -> NoReturn:
    from . import _streams

    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    _streams.finish()
    os._exit(AWAITING)


def _without_server(what: Wait) -> Any:
    """A script that is run by itself asks on its terminal."""
    if not wire.path and what.kind == "ask" and sys.stdin is not None and sys.stdin.isatty():
        return _ask_here(what)
    if what.default is not NO_DEFAULT:
        return what.default
    raise FlowError(
        f"failed to wait for {what.name!r}: only a play's root process can, and this is none; "
        "run the flow with `hero_logic run`, or give a default",
        "unavailable",
    )


def _ask_here(what: Wait) -> Any:
    ui = what.ui if isinstance(what.ui, dict) else {}
    schema = what.schema if isinstance(what.schema, dict) else {}
    kind, options = ui.get("kind"), ui.get("options") or []
    default = what.default if what.default is not NO_DEFAULT else ui.get("default", NO_DEFAULT)
    print(str(ui.get("question") or what.name))
    for number, option in enumerate(options, 1):
        print(f"  {number}) {option if isinstance(option, str) else encode_json(option, 'an option').decode()}")
    plain = schema.get("type") == "string" or kind in ("choice", "multi_choice", "confirm")
    hint = {"choice": "a number", "multi_choice": "numbers, by commas", "confirm": "yes or no"}.get(str(kind), "")
    hint = hint or ("" if plain else "JSON")
    proposed = "" if default is NO_DEFAULT else f" [{encode_json(default, 'the default').decode()}]"
    while True:
        text = input(f"{hint}{proposed}> ".lstrip()).strip()
        if not text and default is not NO_DEFAULT:
            return default
        try:
            return _fitting(_meant(text, kind, options, plain), schema)
        except ValueError as error:
            print(f"{text!r} is no answer: {error}", file=sys.stderr)


def _meant(text: str, kind: object, options: list[Any], plain: bool) -> Any:
    def option(said: str) -> Any:
        if said in options:
            return said
        if not (said.isascii() and said.isdigit() and 1 <= int(said) <= len(options)):
            raise ValueError(f"say a number from 1 to {len(options)}")
        return options[int(said) - 1]

    if kind == "choice":
        return option(text)
    if kind == "multi_choice":
        return [option(said.strip()) for said in text.split(",") if said.strip()]
    if kind == "confirm":
        if text.lower() not in ("y", "yes", "n", "no"):
            raise ValueError("say yes or no")
        return text.lower() in ("y", "yes")
    return text if plain else decode_json(text)


def _fitting(answer: Any, schema: dict[str, Any]) -> Any:
    """What `ask_user` may ask for; a server holds an answer against the whole schema."""
    kind = schema.get("type")
    if kind in ("number", "integer"):
        whole = isinstance(answer, int) or (isinstance(answer, float) and answer.is_integer())
        if isinstance(answer, bool) or not isinstance(answer, (int, float)) or (kind == "integer" and not whole):
            raise ValueError(f"a{'n' if kind == 'integer' else ''} {kind} is asked for")
        low, high = schema.get("minimum"), schema.get("maximum")
        if (low is not None and answer < low) or (high is not None and answer > high):
            raise ValueError(f"it is from {'…' if low is None else low} to {'…' if high is None else high}")
    return answer
