"""Steps whose results are kept: which call gets which, what is done again, what is not."""

import os
import pty
import subprocess
import sys
import unittest
from pathlib import Path

from tests.harness import SDK, PlayTest, Refusal

DIES = """
import os
def die():
    if os.environ["HERO_FLOW_ATTEMPT"] == "1":
        os.kill(os.getpid(), 9)
def tally(what):
    with open("tally", "a") as file:
        file.write(what + "\\n")
"""


class DurableTest(PlayTest):
    def tally(self):
        path = Path(self.work / "tally")
        return path.read_text().split() if path.exists() else []

    def twice(self, source, inputs=None, **options):
        """A play that dies in its first attempt; the second one."""
        source = DIES + "from hero_tracing import flow\n" + __import__("textwrap").dedent(source)
        first = self.play(source, inputs, **options)
        self.assertEqual(first.code, -9, first.stderr)
        again = self.resumed(source, inputs, **options)
        self.assertEqual((again.code, again.stderr), (0, ""), again.lines[-3:])
        return again


class Replay(DurableTest):
    def test_what_was_kept_is_not_done_again(self):
        again = self.twice(
            """
            @flow.step
            def add(a, b=1):
                tally(f"add{a}{b}")
                return {"sum": a + b, "pair": (a, b)}
            @flow
            def nested(x):
                tally("nested")
                return add(x, b=5)
            def plain(x):
                tally("plain")
                return {x}
            @flow
            def hello():
                kept = [add(1), add(2, b=2), nested(7), flow.run("plain", plain, 3)]
                die()
                return [str(kept), add(9)["sum"]]
            """
        )
        self.assertEqual(again.output[1], 10)
        self.assertEqual(
            again.output[0],
            "[{'sum': 2, 'pair': (1, 1)}, {'sum': 4, 'pair': (2, 2)}, {'sum': 12, 'pair': (7, 5)}, {3}]",
        )
        self.assertEqual(self.tally(), ["add11", "add22", "nested", "add75", "plain", "add91"])
        replayed = [e for e in again.ends.values() if e["status"] == "replayed"]
        self.assertEqual(len(replayed), 4)
        for end in replayed:
            start = again.starts[end["span_id"]]
            original = next(s for s in self.server.steps.values() if s["span_id"] == start["tags"]["kept_by"])
            self.assertEqual((start["start_ms"], end["end_ms"]), (original["start_ms"], original["end_ms"]))
            self.assertNotIn("arguments_changed", start["tags"])
            self.assertNotIn("step", start)

    def test_each_of_equal_calls_has_its_own(self):
        again = self.twice(
            """
            @flow.step
            def count():
                tally("c")
                with open("tally") as file:
                    return len(file.readlines())
            @flow
            def hello():
                first = [count(), count(), count()]
                die()
                return first + [count()]
            """
        )
        self.assertEqual(again.output, [1, 2, 3, 4])

    def test_concurrent_ones_find_theirs_whatever_order_they_finish_in(self):
        again = self.twice(
            """
            import asyncio, threading
            from concurrent.futures import ThreadPoolExecutor
            @flow.step
            async def later(n):
                tally(f"a{n}")
                for _ in range((7 - n) if os.environ["HERO_FLOW_ATTEMPT"] == "1" else n):
                    await asyncio.sleep(0)
                return n * 10
            @flow.step
            def thread(n):
                tally(f"t{n}")
                return n * 100
            async def all_of_them(numbers):
                return await asyncio.gather(*map(later, numbers))
            @flow
            def hello():
                first = os.environ["HERO_FLOW_ATTEMPT"] == "1"
                numbers = list(range(8)) if first else list(range(7, -1, -1))
                with ThreadPoolExecutor(4) as pool:
                    threads = list(pool.map(thread, numbers))
                tasks = asyncio.run(all_of_them(numbers))
                die()
                return [tasks, threads]
            """
        )
        self.assertEqual(again.output, [[n * 10 for n in range(7, -1, -1)], [n * 100 for n in range(7, -1, -1)]])
        self.assertEqual(len(self.tally()), 16)

    def test_other_arguments_than_before_are_told_and_nothing_is_done_twice(self):
        again = self.twice(
            """
            @flow.step
            def send(number, text):
                tally(f"{number}")
                return text
            @flow
            def hello():
                attempt = os.environ["HERO_FLOW_ATTEMPT"]
                sent = [send(1, "as ever"), send(2, f"at {attempt}"), send(3, f"at {attempt}")]
                die()
                return sent
            """
        )
        self.assertEqual(again.output, ["as ever", "at 1", "at 1"])
        self.assertEqual(self.tally(), ["1", "2", "3"])
        changed = [bool(e["tags"].get("arguments_changed")) for e in again.spans("send")]
        self.assertEqual(changed, [False, True, True])

    def test_equal_arguments_go_before_the_position(self):
        again = self.twice(
            """
            @flow.step
            def send(name):
                tally(name)
                return f"sent {name}"
            @flow
            def hello():
                names = ["a", "b", "c"] if os.environ["HERO_FLOW_ATTEMPT"] == "1" else ["a", "new", "b", "c"]
                sent = [send(name) for name in names]
                die()
                return sent
            """
        )
        self.assertEqual(again.output, ["sent a", "sent b", "sent b", "sent c"])
        self.assertEqual(self.tally(), ["a", "b", "c"])
        changed = [bool(e["tags"].get("arguments_changed")) for e in again.spans("send")]
        self.assertEqual(changed, [False, True, False, False])

    def test_of_another_play_equal_arguments_only(self):
        source = """
            from hero_tracing import flow
            @flow.step
            def send(name):
                with open("tally", "a") as file: file.write(name + "\\n")
                return f"sent {name}"
            @flow
            def hello(names: list):
                return [send(name) for name in names]
            """
        self.play(source, {"names": ["a", "b"]})
        for step in self.server.steps.values():
            step["strict"] = True
        fork = self.resumed(source, {"names": ["new", "a", "b"]})
        self.assertEqual(fork.output, ["sent new", "sent a", "sent b"])
        self.assertEqual(self.tally(), ["a", "b", "new"])

    def test_what_has_no_arguments_is_told_by_what_its_task_has_done(self):
        again = self.twice(
            """
            import asyncio
            @flow.step
            async def load(n):
                first = os.environ["HERO_FLOW_ATTEMPT"] == "1"
                await asyncio.sleep(0.05 * n if first else 0)
                return n
            @flow.step
            async def charge(n, key):
                tally(f"{n}")
                return key
            async def one(n):
                await load(n)
                key = str(flow.uuid4())
                return key, await charge(n, key), flow.random()
            @flow
            async def hello():
                first = os.environ["HERO_FLOW_ATTEMPT"] == "1"
                numbers = [1, 0, 2] if first else [2, 1, 0]
                came = dict(zip(numbers, await asyncio.gather(*map(one, numbers))))
                with open("came", "a") as file: file.write(repr(sorted(came.items())) + "\\n")
                die()
                return "done"
            """
        )
        self.assertEqual(again.output, "done")
        first, second = (self.work / "came").read_text().splitlines()
        self.assertEqual(first, second)
        self.assertEqual(sorted(self.tally()), ["0", "1", "2"])

    def test_other_arguments_in_order_within_what_runs_beside(self):
        again = self.twice(
            """
            import asyncio
            @flow.step
            async def send(text):
                tally("send")
                return text
            attempt, came = os.environ["HERO_FLOW_ATTEMPT"], []
            @flow
            async def inner(n):
                sent = [await send(f"{n} at {attempt}"), await send("as ever")]
                came.append(n)
                while len(came) < 2:
                    await asyncio.sleep(0)
                die()
                return sent
            @flow
            async def hello():
                sent = [await send(f"first at {attempt}")]
                for one in await asyncio.gather(inner(1), inner(2)):
                    sent += one
                return sent
            """
        )
        self.assertEqual(again.output, ["first at 1", "1 at 1", "as ever", "2 at 1", "as ever"])
        self.assertEqual(self.tally(), ["send"] * 5)

    def test_what_runs_beside_is_not_taken_for_what_was_at_its_position(self):
        again = self.twice(
            """
            import asyncio
            @flow.step
            async def part(name):
                tally(name)
                await asyncio.sleep(0)
                return name
            first = os.environ["HERO_FLOW_ATTEMPT"] == "1"
            came = []
            async def both(n):
                parts = [await part(f"a{n}")]
                came.append(n)
                while first and len(came) < 3:
                    await asyncio.sleep(0)
                # What was kept comes at once: this is begun before the others' first parts are come to.
                die()
                return parts + [await part(f"b{n}")]
            @flow
            async def hello():
                return await asyncio.gather(both(1), both(2), both(3))
            """
        )
        self.assertEqual(again.output, [["a1", "b1"], ["a2", "b2"], ["a3", "b3"]])
        self.assertEqual(self.tally(), ["a1", "a2", "a3", "b1", "b2", "b3"])

    def test_threads_are_not_at_the_same_position_again(self):
        again = self.twice(
            """
            from concurrent.futures import ThreadPoolExecutor
            @flow.step
            def part(n):
                tally(f"{n}")
                return n
            @flow
            def hello():
                numbers = [1, 2] if os.environ["HERO_FLOW_ATTEMPT"] == "1" else [3, 1, 2]
                with ThreadPoolExecutor(1) as pool:
                    parts = list(pool.map(part, numbers))
                die()
                return parts
            """
        )
        self.assertEqual(again.output, [3, 1, 2])
        self.assertEqual(self.tally(), ["1", "2", "3"])

    def test_where_the_server_is_gone_what_was_kept_is_given_and_nothing_else_is_done(self):
        source = DIES + __import__("textwrap").dedent(
            """
            from hero_tracing import FlowError, ask_user, flow
            from hero_tracing._transport import wire
            import asyncio
            @flow.step
            def part(name):
                tally(name)
                return name
            @flow.step
            async def later(name):
                tally(name)
                return name
            @flow
            def inner():
                part("within")
                die()
            @flow
            def hello():
                if os.environ["HERO_FLOW_ATTEMPT"] == "2":
                    while wire.alive:
                        flow.current_span.log("until it is closed")
                print(part("first"))
                for call in (inner, lambda: asyncio.run(later("late")), lambda: ask_user.text("q", default="d", timeout=9)):
                    try:
                        print(call())
                    except FlowError as error:
                        print(error.kind)
            """
        )
        first = self.play(source)
        self.assertEqual(first.code, -9, first.stderr)
        self.server.close_after = 3
        again = self.resumed(source)
        self.assertEqual(again.stdout, "first\nunavailable\nunavailable\nunavailable\n")
        # Its return value could not be handed over.
        self.assertEqual(again.code, 1)
        self.assertEqual(self.tally(), ["first", "within"])

    def test_what_was_under_way_is_done_again_under_its_key(self):
        again = self.twice(
            """
            @flow.step
            def pay(amount):
                tally(flow.current_span.idempotency_key)
                with flow.step("inside"):
                    tally(flow.current_span.idempotency_key)
                die()
                return flow.current_span.idempotency_key
            @flow
            def hello():
                tally(flow.current_span.idempotency_key)
                return pay(3)
            """
        )
        root, pay, inside, *more = self.tally()
        self.assertEqual(pay, inside)
        self.assertNotEqual(root, pay)
        self.assertEqual(more, [root, pay, pay])
        self.assertEqual(again.output, pay)
        self.assertEqual(len(pay), 32)

    def test_errors_are_kept_too(self):
        again = self.twice(
            """
            class Refused(Exception):
                def __init__(self, code, why):
                    super().__init__(code, why)
                    self.code = code
            class Odd(Exception):
                def __init__(self, what):
                    super().__init__("odd")
                    self.what = what
            @flow.step
            def refuse(kind):
                tally(kind)
                if kind == "refused": raise Refused(7, "no")
                if kind == "system": raise FileNotFoundError(2, "not there", "x")
                raise Odd(object())
            @flow
            def hello():
                said = []
                for kind in ("refused", "system", "odd"):
                    try:
                        refuse(kind)
                    except Refused as error:
                        said.append([error.code, str(error)])
                    except OSError as error:
                        said.append([error.errno, str(error)])
                    except Odd:
                        said.append("odd")
                die()
                return said
            """
        )
        self.assertEqual(again.output, [[7, "(7, 'no')"], [2, "[Errno 2] not there: 'x'"], "odd"])
        # The last one's exception holds what can't be kept: it is done again.
        self.assertEqual(self.tally(), ["refused", "system", "odd", "odd"])

    def test_values_that_are_the_same_on_each_attempt(self):
        again = self.twice(
            """
            @flow
            def hello():
                values = [flow.now(), flow.random(), flow.uuid4(), flow.random()]
                tally(repr(values).replace(" ", ""))
                die()
                return values[0].utcoffset().total_seconds()
            """
        )
        first, second = self.tally()
        self.assertEqual(first, second)
        self.assertEqual(again.output, 0)

    def test_large_results(self):
        again = self.twice(
            """
            @flow.step
            def large():
                tally("large")
                return "é" * 1_000_000
            @flow
            def hello():
                text = large()
                die()
                return len(text)
            """
        )
        self.assertEqual((again.output, self.tally()), (1_000_000, ["large"]))

    def test_who_opts_out_is_done_again(self):
        again = self.twice(
            """
            @flow.step(durable=False)
            def free():
                tally("free")
                return object()
            @flow(durable=False)
            def nested():
                tally("nested")
                return object()
            @flow.step
            def numbers():
                tally("generator")
                yield from (1, 2)
            @flow
            def hello():
                free(), nested(), list(numbers())
                with flow.step("span"):
                    tally("span")
                die()
            """
        )
        self.assertEqual(self.tally(), ["free", "nested", "generator", "span"] * 2)
        self.assertEqual(self.server.steps, {})
        self.assertEqual(again.span("free")["kind"], "step")

    def test_what_can_not_be_kept_is_refused_where_it_is(self):
        result = self.play(
            """
            from hero_tracing import flow, NotKept
            @flow.step
            def opens():
                return {"file": [open("x", "w")]}
            @flow
            def hello():
                try:
                    opens()
                except NotKept as error:
                    return str(error)
            """
        )
        self.assertIn("the result of step 'opens'", result.output)
        self.assertIn("['file'][0]", result.output)
        self.assertIn("TextIOWrapper", result.output)
        self.assertEqual(result.end("opens")["status"], "failed")

    def test_only_the_root_process_has_steps(self):
        result = self.succeed(
            """
            import os
            from hero_tracing import flow
            @flow.step
            def work(n):
                return n
            @flow
            def hello():
                work(1)
                child = os.fork()
                if not child:
                    work(1)
                    os._exit(0)
                os.waitpid(child, 0)
                return work(1)
            """
        )
        self.assertEqual(len(result.spans("work")), 3)
        self.assertEqual(len(self.server.steps), 2)

    def test_a_server_that_keeps_nothing_is_an_error(self):
        self.server.answers["step_output"] = lambda _: False
        result = self.play(
            """
            from hero_tracing import flow
            @flow.step
            def work():
                return 1
            @flow
            def hello():
                return work()
            """
        )
        self.assertEqual(result.code, 1)
        self.assertIn("failed to keep the result of step 'work'", result.root_end["error"])


class Options(DurableTest):
    def test_tries(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio
            tries = {"sync": 0, "async": 0}
            def fails(name, times):
                tries[name] += 1
                if tries[name] <= times:
                    raise ValueError(f"{name} {tries[name]}")
                return tries[name]
            @flow.step(retries=3, backoff=0.001)
            def sync():
                return fails("sync", 2)
            @flow.step("in a task", retries=2, backoff=[0, 0.001], colour="red")
            async def in_task():
                return fails("async", 2)
            @flow
            def hello():
                return [sync(), asyncio.run(in_task())]
            """
        )
        self.assertEqual(result.output, [3, 3])
        self.assertEqual(result.tags("sync"), {"tries": 3})
        self.assertEqual(result.tags("in a task"), {"colour": "red", "tries": 3})
        first, second = result.logs("sync", "log")
        self.assertEqual(first, "try 1 of 4 failed: ValueError: sync 1; the next one in 0.001 s\n")
        self.assertEqual(second, "try 2 of 4 failed: ValueError: sync 2; the next one in 0.002 s\n")

    def test_what_is_not_tried_again(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            calls = []
            @flow.step(retries=2, backoff=0, retry_on=(KeyError, OSError))
            def work(error):
                calls.append(type(error).__name__)
                raise error
            @flow
            def hello():
                for error in (ValueError("x"), KeyError("y"), PermissionError(1, "z")):
                    try:
                        work(error)
                    except Exception as last:
                        calls.append(str(last))
                return calls
            """
        )
        expected = ["ValueError", "x"] + ["KeyError"] * 3 + ["'y'"] + ["PermissionError"] * 3 + ["[Errno 1] z"]
        self.assertEqual(result.output, expected)

    def test_time_is_bounded(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio, signal, threading, time
            @flow.step(timeout=0.05, retries=1, backoff=0)
            def blocks(): time.sleep(60)
            @flow.step(timeout=0.05)
            def busy():
                while True: time.sleep(0.001)
            @flow.step(timeout=0.05)
            async def hangs(): await asyncio.sleep(60)
            @flow.step(timeout=30)
            def outer():
                try: blocks()
                except TimeoutError as error: return str(error)
            @flow
            def hello():
                before = signal.getsignal(signal.SIGALRM)
                said = [outer()]
                def other():
                    try: busy()
                    except TimeoutError as error: said.append(str(error))
                thread = threading.Thread(target=other)
                thread.start()
                thread.join()
                try: asyncio.run(hangs())
                except TimeoutError as error: said.append(str(error))
                assert signal.getsignal(signal.SIGALRM) == before
                assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
                return said
            """
        )
        self.assertEqual(
            result.output, [f"step '{name}' took longer than 0.05 s" for name in ("blocks", "busy", "hangs")]
        )

    def test_each_time_is_of_the_step_that_has_it(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio, time
            tries = []
            @flow.step(timeout=30, retries=5, backoff=0)
            def inner():
                tries.append("inner")
                try: time.sleep(60)
                except Exception: tries.append("handled")
            @flow.step(timeout=0.05)
            def outer(): inner()
            @flow.step(timeout=30)
            async def own():
                raise asyncio.TimeoutError
            @flow
            def hello():
                try: outer()
                except TimeoutError as error: tries.append(str(error))
                try: asyncio.run(own())
                except asyncio.TimeoutError as error: tries.append(str(error))
                return tries
            """
        )
        self.assertEqual(result.output, ["inner", "step 'outer' took longer than 0.05 s", ""])

    def test_bad_ones_are_refused_where_they_stand(self):
        for options in (
            "retries=-1",
            "retries=True",
            "backoff=[]",
            "backoff='1'",
            "retry_on=3",
            "timeout=0",
            "durable=1",
        ):
            result = self.play(f"from hero_tracing import flow\n@flow.step({options})\ndef work(): pass\n")
            self.assertEqual(result.code, 1)
            self.assertIn(f"TypeError: {options.split('=')[0]}= is", result.root_end["error"])

    def test_without_a_server_steps_are_functions(self):
        source = """
            from hero_tracing import flow
            calls = []
            @flow.step(retries=1, backoff=0)
            def work():
                calls.append(1)
                if len(calls) < 2: raise ValueError
                return calls
            @flow
            def hello():
                assert work() is calls
                assert flow.run("x", lambda a: a, calls) is calls
                flow.now(), flow.uuid4(), flow.sleep(0)
                assert 0 <= flow.random() < 1
                assert flow.current_span.idempotency_key == ""
                return len(calls)
        """
        result = self.play(source, HERO_FLOW_SPAN_SOCK="")
        self.assertEqual((result.code, result.stderr), (0, ""))


class Waits(DurableTest):
    def unsettled(self):
        self.server.answers["pause"] = lambda event: {"settled": False, "id": event["span_id"]}

    def settle(self, **answers):
        """What the server does when somebody answers."""
        for step in self.server.steps.values():
            name = step["name"].partition(":")[2] or step["name"]
            if name in answers:
                step["data"] = answers[name]
                step["end_ms"] = step["start_ms"]

    def test_a_question_ends_the_process_and_its_answer_comes_to_the_same_line(self):
        self.unsettled()
        source = """
            from hero_tracing import ask_user, flow
            @flow.step
            def before():
                with open("tally", "a") as file: file.write("before\\n")
                return 1
            @flow
            def hello():
                print("unfinished", end="")
                n = before()
                try:
                    answer = ask_user.choice("title", ["A", "B"], "Which?", default="B")
                    return [n, answer]
                except BaseException:
                    open("seen", "w")
                finally:
                    with open("tally", "a") as file: file.write("finally\\n")
            """
        first = self.play(source)
        self.assertEqual((first.code, first.stderr), (75, ""))
        self.assertEqual(self.tally(), ["before"])
        ((_, asked),) = [one for one in self.server.acknowledged if one[0] == "pause"]
        self.assertEqual(
            asked["wait"],
            {
                "kind": "ask",
                "name": "title",
                "schema": {"enum": ["A", "B"]},
                "ui": {"kind": "choice", "question": "Which?", "options": ["A", "B"], "default": "B"},
            },
        )
        self.assertEqual(first.logs("hello", "stdout"), ["unfinished"])
        self.settle(title={"$bytes": "stays as it is"})
        again = self.resumed(source)
        self.assertEqual(again.output, [1, {"$bytes": "stays as it is"}])
        self.assertEqual(self.tally(), ["before", "finally"])
        self.assertEqual(again.end("ask:title")["status"], "replayed")

    def test_an_answer_that_is_there_already(self):
        self.server.answers["pause"] = lambda event: (
            {"settled": True, "payload": [1, None]}
            if event["wait"]["name"] == "given"
            else {"settled": True, "raised": {"type": "builtins:TimeoutError", "message": "nobody"}}
        )
        result = self.play(
            """
            from hero_tracing import flow
            @flow
            def hello():
                try:
                    flow.wait_event("late", timeout=3)
                except TimeoutError as error:
                    return [flow.pause("given"), str(error)]
            """
        )
        self.assertEqual(result.output, [[1, None], "nobody"])

    def test_a_question_that_is_refused(self):
        def refuse(event):
            raise Refusal("invalid_input", "the schema is none")

        self.server.answers["pause"] = refuse
        result = self.play(
            """
            from hero_tracing import FlowError, flow
            @flow
            def hello():
                try:
                    flow.pause("x", schema={"type": 3})
                except FlowError as error:
                    return [error.kind, str(error)]
            """
        )
        self.assertEqual(result.output, ["invalid_input", "the schema is none"])

    def test_several_questions_are_open_at_once_and_what_else_runs_comes_to_its_end(self):
        self.unsettled()
        source = """
            from hero_tracing import ask_user, flow
            import asyncio
            @flow.step
            async def slow():
                await asyncio.sleep(0.2)
                with open("tally", "a") as file: file.write("slow\\n")
                return "slow"
            @flow
            async def nested():
                return await ask_user.confirm_async("second")
            @flow
            async def hello():
                return await asyncio.gather(ask_user.number_async("first", integer=True, minimum=1), nested(), slow())
            """
        first = self.play(source)
        self.assertEqual((first.code, first.stderr), (75, ""))
        self.assertEqual(self.tally(), ["slow"])
        self.assertEqual(
            sorted(p["wait"]["name"] for m, p in self.server.acknowledged if m == "pause"), ["first", "second"]
        )
        self.settle(first=3)
        second = self.resumed(source)
        self.assertEqual(second.code, 75, second.stderr)
        self.settle(second=True)
        third = self.resumed(source)
        self.assertEqual(third.output, [3, True, "slow"])
        self.assertEqual(self.tally(), ["slow"])

    def test_threads_that_ask(self):
        self.unsettled()
        source = """
            from hero_tracing import ask_user, flow
            from concurrent.futures import ThreadPoolExecutor
            @flow
            def hello():
                with ThreadPoolExecutor(3) as pool:
                    return list(pool.map(ask_user.text, ["a", "b", "c"]))
            """
        first = self.play(source)
        self.assertEqual(first.code, 75, first.stderr)
        self.settle(a="1", b="2", c="3")
        self.assertEqual(self.resumed(source).output, ["1", "2", "3"])

    def test_questions_of_one_name_at_once(self):
        self.unsettled()
        source = """
            from hero_tracing import ask_user, flow
            import asyncio, os
            async def one(n):
                first = os.environ["HERO_FLOW_ATTEMPT"] == "1"
                await asyncio.sleep(0.05 * n if first else 0.05 * (2 - n))
                return n, await ask_user.confirm_async("approve", f"Approve item {n}?")
            @flow
            async def hello():
                async def busy():
                    await flow.run("busy", asyncio.sleep, 0.2)
                return (await asyncio.gather(one(0), one(1), one(2), busy()))[:3]
            """
        first = self.play(source)
        self.assertEqual(first.code, 75, first.stderr)
        for _, event in [one for one in self.server.acknowledged if one[0] == "pause"]:
            (asked,) = [step for step in self.server.steps.values() if step["span_id"] == event["span_id"]]
            asked["data"] = event["wait"]["ui"]["question"] == "Approve item 0?"
            asked["end_ms"] = asked["start_ms"]
        self.assertEqual(self.resumed(source).output, [[0, True], [1, False], [2, False]])

    def test_a_question_that_holds_up_the_loop(self):
        self.unsettled()
        asks = """
            from hero_tracing import FlowError, ask_user, flow
            import asyncio, os, threading
            began = threading.Event()
            @flow.step
            def pay(n):
                began.set()
                threading.Event().wait(0.3)
                with open("tally", "a") as file: file.write("paid\\n")
            @flow.step
            async def pay_async():
                await asyncio.sleep(0.1)
            async def ask():
                await asyncio.get_running_loop().run_in_executor(None, began.wait)
                return ask_user.text("who")
            @flow
            async def hello(beside: bool):
                loop = asyncio.get_running_loop()
                both = [loop.run_in_executor(None, pay, 1), ask()]
                try:
                    return (await asyncio.gather(*both, *([pay_async()] if beside else [])))[1]
                except FlowError as error:
                    return [error.kind, str(error)]
            """
        refused = self.play(asks, {"beside": True})
        self.assertEqual(refused.output[0], "conflict", refused.output)
        self.assertIn("_async", refused.output[1])
        self.server.steps.clear()
        (self.work / "tally").unlink(missing_ok=True)
        first = self.play(asks, {"beside": False})
        self.assertEqual((first.code, first.stderr), (75, ""))
        self.assertEqual(self.tally(), ["paid"])

    def test_a_question_within_a_step_that_is_under_way(self):
        self.unsettled()
        first = self.play(
            """
            from hero_tracing import ask_user, flow
            import asyncio
            @flow.step(timeout=30)
            async def asks(): return ask_user.text("who")
            @flow.step
            async def gathers(): return await asyncio.gather(asks())
            @flow
            async def hello(): return await gathers()
            """
        )
        self.assertEqual((first.code, first.stderr), (75, ""), first.lines[-2:])

    def test_a_question_on_a_terminal_without_a_server(self):
        script = self.dir / "asks.py"
        script.write_text(
            "from hero_tracing import ask_user, flow\n"
            "@flow\n"
            "def asks():\n"
            "    return [ask_user.choice('colour', ['red', 'green']), ask_user.choice('retries', [5, 3, 1]),\n"
            "        ask_user.multi_choice('days', ['mo', 'tu', 'we']), ask_user.confirm('sure', default=True),\n"
            "        ask_user.number('age', minimum=5, integer=True), ask_user.text('name')]\n"
            "print('came to', asks())\n"
        )
        mine, its = pty.openpty()
        # What is no answer is asked for again.
        os.write(mine, b"purple\ngreen\n0\n2\n1, we\n\nx\n1e999\n1\n5.5\n7\n 9 \n")
        done = subprocess.run(
            [sys.executable, str(script)],
            stdin=its,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(SDK), "PATH": os.environ["PATH"]},
            timeout=30,
        )
        for descriptor in (mine, its):
            os.close(descriptor)
        self.assertIn("came to ['green', 3, ['mo', 'we'], True, 7, '9']", done.stdout, done.stderr)
        self.assertEqual(done.stderr.count("is no answer"), 6, done.stderr)

    def test_a_question_that_is_too_long(self):
        self.unsettled()
        result = self.play(
            """
            from hero_tracing import FlowError, flow
            @flow
            def hello():
                try:
                    flow.pause("x", ui="y" * 2_000_000)
                except FlowError as error:
                    return [error.kind, "1048576" in str(error)]
            """
        )
        self.assertEqual(result.output, ["too_large", True])

    def test_a_short_sleep_goes_on(self):
        source = """
            import os, time
            from hero_tracing import flow
            slept = []
            die = lambda seconds: os.kill(os.getpid(), 9)
            @flow
            def hello():
                time.sleep = die if os.environ["HERO_FLOW_ATTEMPT"] == "1" else slept.append
                flow.sleep(4)
                return slept
            """
        first = self.play(source)
        self.assertEqual(first.code, -9, first.stderr)
        (begun,) = first.spans("sleep")
        began = {"name": "sleep", "span_id": begun["span_id"], "start_ms": begun["start_ms"] - 3_000}
        self.server.steps["begun"] = {**begun["step"], **began}
        (rest,) = self.resumed(source).output
        self.assertLessEqual(rest, 1)

    def test_sleep(self):
        self.unsettled()
        source = """
            from datetime import timedelta
            from hero_tracing import flow
            @flow
            def hello():
                flow.sleep(0.01)
                flow.sleep(timedelta(hours=1))
                return "awake"
            """
        first = self.play(source)
        self.assertEqual(first.code, 75, first.stderr)
        (asked,) = [p["wait"] for m, p in self.server.acknowledged if m == "pause"]
        short, long = self.server.steps.values()
        self.assertAlmostEqual(asked["wake_at"], long["start_ms"] + 3_600_000, delta=60_000)
        long["data"] = None
        self.assertEqual(self.resumed(source).output, "awake")


if __name__ == "__main__":
    unittest.main()
