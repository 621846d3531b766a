"""Each span under the right parent: threads, tasks, generators, forks; and lines that never mix."""

import unittest

from tests.harness import PlayTest

FLOW = "from hero_tracing import flow\n"


class Contexts(PlayTest):
    def test_threads_and_pools(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import contextvars, threading
            from concurrent.futures import ThreadPoolExecutor
            mine = contextvars.ContextVar("mine", default="untouched")
            seen = []
            def work(name):
                seen.append(mine.get())
                with flow.step(name):
                    with flow.step(name + "-inner"): pass
            @flow
            def hello():
                mine.set("main")
                with ThreadPoolExecutor(1) as pool:
                    with flow.step("a"):
                        thread = threading.Thread(target=work, args=("in-a",))
                        thread.start()
                        pool.submit(work, "pool-a").result()
                    with flow.step("b"):
                        pool.submit(work, "pool-b").result()
                        list(pool.map(work, ["map-b"]))
                    pool.submit(work, "pool-root").result()
                thread.join()
                return seen
            """
        )
        expected = {"in-a": "a", "pool-a": "a", "pool-b": "b", "map-b": "b", "pool-root": "hello", "in-a-inner": "in-a"}
        self.assertEqual({name: result.parent(name) for name in expected}, expected)
        self.assertEqual(set(result.output), {"untouched"})

    def test_asyncio(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio
            @flow.step
            async def leaf(name):
                async with flow.step("leaf-" + name):
                    await asyncio.sleep(0)
            async def branch(name):
                async with flow.step(name):
                    await asyncio.gather(leaf(name), asyncio.to_thread(threaded, name))
            def threaded(name):
                with flow.step("thread-" + name): pass
            @flow
            async def hello():
                await asyncio.gather(branch("a"), branch("b"))
                loop = asyncio.get_running_loop()
                with flow.step("c"):
                    await loop.run_in_executor(None, threaded, "c")
                task = asyncio.ensure_future(asyncio.sleep(60))
                with flow.step("waiting"):
                    async def cancelled():
                        with flow.step("cancelled"): await asyncio.sleep(60)
                    task = asyncio.ensure_future(cancelled())
                    await asyncio.sleep(0)
                    task.cancel()
                    try: await task
                    except asyncio.CancelledError: pass
            """
        )
        for name in "ab":
            self.assertEqual(result.parent(name), "hello")
            self.assertEqual(result.parent("thread-" + name), name)
            leaf = result.starts[result.span("leaf-" + name)["parent_id"]]
            self.assertEqual((leaf["name"], result.starts[leaf["parent_id"]]["name"]), ("leaf", name))
        self.assertEqual(result.parent("thread-c"), "c")
        self.assertEqual(result.end("cancelled")["status"], "cancelled")
        self.assertNotIn("error", result.end("cancelled"))

    def test_interleaved_generators(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            @flow.step
            def numbers(name):
                with flow.step(name + "-1"):
                    got = yield 1
                    with flow.step(name + "-2"): pass
                yield got
                return name
            def plain(name):
                with flow.step(name): yield
            @flow
            def hello():
                a, b = numbers("a"), numbers("b")
                next(a); next(b)
                with flow.step("between"): pass
                values = [a.send("A"), b.send("B")]
                for generator in a, b:
                    try: next(generator)
                    except StopIteration as stop: values.append(stop.value)
                abandoned = numbers("c")
                next(abandoned); abandoned.close()
                x, y = plain("x"), plain("y")
                next(x); next(y); next(x, None); next(y, None)
                with flow.step("after"): pass
                return values
            """
        )
        self.assertEqual(result.output, ["A", "B", "a", "b"])
        for name, parent in {
            "a-1": "numbers",
            "a-2": "a-1",
            "b-2": "b-1",
            "between": "hello",
            "after": "hello",
        }.items():
            self.assertEqual(result.parent(name), parent, name)
        self.assertEqual({e["status"] for e in result.ends.values()}, {"ok"})

    def test_exceptions_thrown_into_a_generator_reach_it(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            @flow.step
            def patient():
                try:
                    yield 1
                except ValueError:
                    with flow.step("handling"): pass
                    yield "caught"
            @flow
            def hello():
                generator = patient()
                next(generator)
                return generator.throw(ValueError("x"))
            """
        )
        self.assertEqual((result.output, result.parent("handling")), ("caught", "patient"))

    def test_async_generators(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio
            @flow.step("stream", size=2)
            async def stream(name):
                try:
                    for number in range(2):
                        await asyncio.sleep(0)
                        with flow.step(f"{name}{number}"): pass
                        got = yield number
                except ValueError:
                    yield "caught"
            @flow
            async def hello():
                values = []
                async for value in stream("a"):
                    with flow.step(f"consumer{value}"): pass
                    values.append(value)
                thrown = stream("b")
                values.append(await thrown.__anext__())
                values.append(await thrown.athrow(ValueError("x")))
                await thrown.aclose()
                return values
            """
        )
        self.assertEqual(result.output, [0, 1, 0, "caught"])
        self.assertEqual(
            [result.parent(n) for n in ("a0", "a1", "consumer0", "consumer1")], ["stream"] * 2 + ["hello"] * 2
        )
        self.assertEqual(result.spans("stream")[0]["tags"], {"size": 2})

    def test_decorators_keep_what_they_decorate(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import functools, inspect, pickle
            class Thing:
                @flow.step
                def method(self, x):
                    "Docs."
                    return x
                @staticmethod
                @flow.step("static")
                def static(x): return x
            async def work(x): return x
            partial = flow.step("partial")(functools.partial(work, 5))
            @flow.step
            async def coroutine(): pass
            @flow.step
            def generator(): yield
            @flow.step
            async def agenerator(): yield
            @flow
            async def hello():
                assert Thing.method.__doc__ == "Docs." and Thing.method.__name__ == "method"
                assert inspect.iscoroutinefunction(coroutine) and inspect.isgeneratorfunction(generator)
                assert inspect.isasyncgenfunction(agenerator)
                assert pickle.loads(pickle.dumps(coroutine)) is coroutine
                try: flow.step(staticmethod(work))
                except TypeError as error: assert "below @staticmethod" in str(error), error
                return [Thing().method(1), Thing.static(2), await partial()]
            """
        )
        self.assertEqual(result.output, [1, 2, 5])
        self.assertTrue(result.spans("method") and result.spans("static") and result.spans("partial"))

    def test_a_step_is_entered_once_at_a_time(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            @flow
            def hello():
                step = flow.step("again")
                for _ in range(2):
                    with step: pass
                with step:
                    try:
                        with step: pass
                    except RuntimeError as error: return str(error)
            """
        )
        self.assertEqual(len(result.spans("again")), 3)
        self.assertIn("open already", result.output)

    def test_nested_flows_and_kinds(self):
        result = self.succeed(
            FLOW
            + """
@flow
def inner(): pass
@flow
def hello():
    inner()
    with flow.span("odd"): pass
    with flow.step("even"): pass
"""
        )
        self.assertEqual(
            {e["name"]: e["kind"] for e in result.starts.values()},
            {"hello": "flow_root", "inner": "subflow", "odd": "other", "even": "step"},
        )
        self.assertEqual([result.span(n)["source_line"] for n in ("odd", "even")], [8, 9])


if __name__ == "__main__":
    unittest.main()
