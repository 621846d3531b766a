"""Flows that run other flows: in this process, as child plays, from a library."""

import json
import signal
import threading
import unittest

from tests.harness import HangUp, PlayTest, Refusal

FLOW = "from hero_tracing import flow\n"
SUCCESS = {"status": "success", "output_data": "[1, 2]", "cause": None}
FAILURE = {"status": "failed", "output_data": None, "cause": {"kind": "exception", "message": "ValueError: boom"}}


class InProcess(PlayTest):
    def test_same_source(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio
            @flow(name="a double")
            def double(x): return x * 2
            @flow
            async def triple(x): return x * 3
            @flow
            def hello():
                values = [flow.invoke("a double", x=1), flow.invoke("double", x=2), flow.invoke("triple", x=1)]
                async def more():
                    return [
                        await flow.invoke_async("triple", x=2),
                        await flow.invoke_async("double", x=3),
                        flow.invoke("triple", x=4),
                    ]
                return values + asyncio.run(more())
            """
        )
        self.assertEqual(result.output, [2, 4, 3, 6, 6, 12])
        children = result.spans("a double") + result.spans("triple")
        self.assertEqual({(e["kind"], e["parent_id"]) for e in children}, {("subflow", "1.1")})
        self.assertEqual(self.server.requests, [])

    def test_its_failure_is_the_callers(self):
        result = self.play(
            FLOW
            + "@flow\ndef inner(x):\n    raise flow.Failed('no stock')\n@flow\ndef hello():\n"
            + "    try:\n        flow.invoke('inner', y=1)\n    except TypeError as error:\n        print(error, end='')\n"
            + "    flow.invoke('inner', x=1)\n"
        )
        self.assertEqual((result.code, result.root_end["error"]), (1, "no stock"))
        self.assertEqual(
            result.logs("hello", "stdout"), ["flow 'inner' lacks 'x' and has no parameter 'y'; it takes: x"]
        )

    def test_library_flow_has_its_own_names(self):
        library = (
            FLOW
            + "@flow\ndef helper():\n    return 'library'\n@flow\ndef lib(x):\n    return [x, flow.invoke('helper')]\n"
        )
        found = {"workflow_sid": "w", "version_sid": "0-1", "source": library, "file": "lib.py", "flow": "lib"}
        self.server.answers["flow_resolve"] = lambda params: found
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio
            @flow
            def helper(): return "mine"
            @flow
            def hello():
                values = [flow.invoke("lib", x=1), flow.invoke("helper")]
                return values + [asyncio.run(flow.invoke_async("lib", x=2))]
            """
        )
        self.assertEqual(result.output, [[1, "library"], "mine", [2, "library"]])
        self.assertEqual(result.spans("lib")[0]["source_file"], "lib.py")

    def test_library_that_does_not_have_it(self):
        def refuse(params):
            raise Refusal("not_found", "no workflow is named 'nope'")

        self.server.answers["flow_resolve"] = refuse
        result = self.succeed(
            FLOW
            + "from hero_tracing import FlowError\n@flow\ndef hello():\n    try:\n        flow.invoke('nope')\n"
            + "    except FlowError as error:\n        return [str(error), error.kind]\n"
        )
        self.assertEqual(result.output, ["no workflow is named 'nope'", "not_found"])


class Spawned(PlayTest):
    def setUp(self):
        super().setUp()
        self.server.answers.update(
            flow_invoke=lambda params: {"play_sid": "child-" + params["name"]},
            play_wait=lambda params: FAILURE if params["play_sid"] == "child-bad" else SUCCESS,
            play_cancel=lambda params: SUCCESS,
        )

    def test_child_play(self):
        result = self.succeed(
            FLOW + "@flow\ndef hello():\n    return [flow.invoke('good', spawn=True, x='ä') for _ in range(3)]\n"
        )
        self.assertEqual(result.output, [[1, 2]] * 3)
        spans = result.spans("good")
        self.assertEqual({e["kind"] for e in spans}, {"subflow"})
        invoked = [params for method, params in self.server.requests if method == "flow_invoke"]
        keys = [e["step"]["key"] for e in spans]
        self.assertEqual(len(set(keys)), 3)
        expected = [
            {"name": "good", "inputs": {"x": "ä"}, "span_id": e["span_id"], "key": e["step"]["key"]} for e in spans
        ]
        self.assertEqual(invoked, expected)
        self.assertEqual(sum(b'"method"' in line for line in result.lines), 6)
        self.assertEqual(len(self.server._readers), 3)  # events, requests, and the test's own probe

    def test_calls_are_told_apart_by_their_short_inputs(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio
            @flow
            def hello():
                flow.invoke("good", spawn=True, package="json", at=2, long="x" * 101, many=[1])
                asyncio.run(flow.invoke_async("good", spawn=True, package="xml", dry=True, none=None))
            """
        )
        self.assertEqual(
            [e["tags"] for e in result.spans("good")], [{"package": "json", "at": 2}, {"package": "xml", "dry": True}]
        )

    def test_a_flow_of_the_same_source_is_asked_for_by_its_version(self):
        self.succeed(
            FLOW + "@flow\ndef part():\n    pass\n"
            "@flow\ndef hello():\n    flow.invoke('part', spawn=True)\n    flow.invoke('good', spawn=True)\n"
        )
        invoked = [params for method, params in self.server.requests if method == "flow_invoke"]
        self.assertEqual([params.get("version_sid") for params in invoked], ["version", None])

    def test_large_inputs_travel_as_a_file(self):
        self.succeed(FLOW + "@flow\ndef hello():\n    flow.invoke('good', spawn=True, x='x' * 300_000)\n")
        params = self.server.requests[0][1]
        self.assertNotIn("inputs", params)
        self.assertEqual(json.loads((self.spool / params["inputs_file"]).read_text()), {"x": "x" * 300_000})

    def test_inputs_that_are_not_json(self):
        result = self.play(FLOW + "@flow\ndef hello():\n    flow.invoke('good', spawn=True, x={1})\n")
        self.assertIn("inputs['x'] is of type set", result.root_end["error"])

    def test_failing_child(self):
        result = self.succeed(
            """
            from hero_tracing import ChildFailed, flow
            import asyncio
            def told(error): return [str(error), error.kind, error.play_sid, error.status, error.cause["kind"]]
            @flow
            def hello():
                answers = []
                try: flow.invoke("bad", spawn=True)
                except ChildFailed as error: answers.append(told(error))
                try: asyncio.run(flow.invoke_async("bad", spawn=True))
                except ChildFailed as error: answers.append(told(error))
                return answers
            """
        )
        expected = ["flow 'bad' failed: ValueError: boom", "child_failed", "child-bad", "failed", "exception"]
        self.assertEqual(result.output, [expected, expected])
        self.assertEqual({result.ends[e["span_id"]]["status"] for e in result.spans("bad")}, {"failed"})

    def test_many_at_once_share_one_connection(self):
        # The server answers a wait only when all of them wait.
        barrier = threading.Barrier(20)
        self.server.answers["play_wait"] = lambda params: (barrier.wait(30), SUCCESS)[1]
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio
            @flow
            async def hello():
                calls = [flow.invoke_async(f"f{n}", spawn=True) for n in range(20)]
                values = await asyncio.gather(*calls)
                return values, len(asyncio.all_tasks())
            """
        )
        self.assertEqual(result.output, [[[1, 2]] * 20, 1])
        self.assertEqual(len(self.server._readers), 3)  # events, requests, and the test's own probe

    def test_cancelling_cancels_the_child(self):
        never, waiting = threading.Event(), threading.Event()
        self.addCleanup(never.set)
        self.server.answers["play_wait"] = lambda params: (waiting.set(), never.wait(30), SUCCESS)[2]
        self.server.answers["play_cancel"] = lambda params: (never.set(), SUCCESS)[1]
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio
            @flow
            async def hello():
                task = asyncio.ensure_future(flow.invoke_async("slow", spawn=True))
                while not flow.current_span.log("tick"):
                    done, _ = await asyncio.wait([task], timeout=0.05)
                    task.cancel()
                    try: await task
                    except asyncio.CancelledError: return "cancelled"
            """
        )
        self.assertEqual(result.output, "cancelled")
        self.assertEqual(result.end("slow")["status"], "cancelled")
        self.server.wait_for(lambda server: ("play_cancel", {"play_sid": "child-slow"}) in server.requests)

    def test_a_server_that_can_not_start_a_child_now_is_asked_again(self):
        calls = []

        def busy(params):
            calls.append(params["name"])
            if len(calls) % 3:
                raise Refusal("unavailable", "the disk is full")
            return {"play_sid": "child-good"}

        self.server.answers["flow_invoke"] = busy
        result = self.play(
            """
            from hero_tracing import flow
            import asyncio
            @flow
            def hello():
                return [flow.invoke("good", spawn=True), asyncio.run(flow.invoke_async("good", spawn=True, n=2))]
            """
        )
        self.assertEqual(result.output, [[1, 2]] * 2)
        self.assertEqual(len(calls), 6)
        told = [e["text"] for e in result.events if e["type"] == "span_log" and e["stream"] == "stderr"]
        self.assertEqual(told, ["the disk is full; waiting\n"] * 2)

    def test_a_play_that_is_stopped_leaves_its_children_to_the_server(self):
        never, waiting = threading.Event(), threading.Event()
        self.addCleanup(never.set)
        self.server.answers["play_wait"] = lambda params: (waiting.set(), never.wait(30), SUCCESS)[2]
        for call in ("flow.invoke('slow', spawn=True)", "asyncio.run(flow.invoke_async('slow', spawn=True))"):
            process = self.begin(f"from hero_tracing import flow\nimport asyncio\n@flow\ndef hello():\n    {call}\n")
            waiting.wait(30)
            waiting.clear()
            process.send_signal(signal.SIGTERM)
            result = self.finish(process)
            self.assertEqual((result.code, result.stderr), (143, ""))
        self.assertNotIn("play_cancel", [method for method, _ in self.server.requests])

    def test_cancelling_while_the_child_is_being_started(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio
            @flow
            async def hello():
                task = asyncio.ensure_future(flow.invoke_async("slow", spawn=True))
                await asyncio.sleep(0)
                task.cancel()
                try: await task
                except asyncio.CancelledError: return "cancelled"
            """
        )
        self.assertEqual(result.output, "cancelled")
        self.server.wait_for(lambda server: ("play_cancel", {"play_sid": "child-slow"}) in server.requests)
        self.assertNotIn("play_wait", [method for method, _ in self.server.requests])

    def test_a_signal_handler_that_raises_cancels_the_child(self):
        never = threading.Event()
        self.addCleanup(never.set)
        self.server.answers["play_wait"] = lambda params: (never.wait(30), SUCCESS)[1]
        result = self.succeed(
            """
            from hero_tracing import flow
            import signal
            def late(*_): raise TimeoutError("too late")
            @flow
            def hello():
                signal.signal(signal.SIGALRM, late)
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                try: flow.invoke("slow", spawn=True)
                except TimeoutError as error: return str(error)
            """
        )
        self.assertEqual(result.output, "too late")
        self.server.wait_for(lambda server: ("play_cancel", {"play_sid": "child-slow"}) in server.requests)

    def test_server_that_goes_away(self):
        def hang_up(params):
            raise HangUp

        self.server.answers["flow_invoke"] = hang_up
        source = (
            FLOW + "from hero_tracing import FlowError\nimport asyncio\n@flow\ndef hello():\n"
            "    try:\n        {}\n    except FlowError as error:\n        return [error.kind, str(error)]\n"
        )
        for call in "flow.invoke('x', spawn=True)", "asyncio.run(flow.invoke_async('x', spawn=True))":
            self.server.lines.clear()
            kind, message = self.succeed(source.format(call)).output
            self.assertEqual(kind, "unavailable")
            self.assertIn("failed to reach the hero_logic server", message)

    def test_server_that_was_never_there(self):
        source = (
            FLOW + "from hero_tracing import FlowError\nimport asyncio\n@flow\ndef hello():\n"
            "    for call in (\n        lambda: flow.invoke('x', spawn=True),\n"
            "        lambda: asyncio.run(flow.invoke_async('x', spawn=True)),\n    ):\n"
            "        try:\n            call()\n        except FlowError as error:\n            print(error.kind)\n"
        )
        result = self.play(source, HERO_FLOW_SPAN_SOCK="/nowhere/s")
        self.assertEqual(result.stdout, "unavailable\nunavailable\n")
        # A return value that nobody took is no success.
        self.assertEqual(result.code, 1)
        self.assertIn("failed to hand over the return value", result.stderr)

    def test_threads_have_their_own_connections(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            from concurrent.futures import ThreadPoolExecutor
            @flow
            def hello():
                with ThreadPoolExecutor(8) as pool:
                    return list(pool.map(lambda n: flow.invoke(f"f{n}", spawn=True), range(40)))
            """
        )
        self.assertEqual(result.output, [[1, 2]] * 40)


if __name__ == "__main__":
    unittest.main()
