"""What needs no server: values, standalone programs, metadata, the proxy."""

import asyncio
import json
import marshal
import math
import os
import subprocess
import sys
import unittest
from unittest import mock

from hero_tracing import ChildFailed, FlowError, _ahead, _leave, _wire, flow, instrument
from hero_tracing._transport import wire
from tests.harness import SDK, PlayTest

FLOW = "from hero_tracing import flow\n"


class Values(unittest.TestCase):
    def tag(self, value):
        (text,) = _wire.encode_tags({"k": value})
        return json.loads("{" + text + "}", parse_constant=lambda name: self.fail(f"{name} is not JSON"))["k"]

    def test_json_stays_what_it_is(self):
        for value in (None, True, 0, -5, 2**40, 1.5, "ä\n", [], {}, [1, [2, {"a": None}]], {"x": {"y": [True]}}):
            self.assertEqual(self.tag(value), value)
        self.assertEqual(self.tag((1, 2)), [1, 2])

    def test_the_rest_becomes_its_repr(self):
        self.assertEqual(self.tag({1}), "{1}")
        self.assertEqual(self.tag([{1}, {"a": 1j}]), ["{1}", {"a": "1j"}])
        self.assertEqual(self.tag([math.nan, math.inf]), ["nan", "inf"])
        self.assertEqual(self.tag({(1, 2): 3, 4: 5}), {"(1, 2)": 3, "4": 5})
        self.assertEqual(self.tag(2**70), str(2**70))
        self.assertIn("0", self.tag(10**5000)[:5] + "0")

    def test_bad_reprs(self):
        class Bad:
            def __repr__(self):
                raise ZeroDivisionError

        self.assertEqual(self.tag(Bad()), "<Bad: its repr raised ZeroDivisionError>")
        self.assertEqual(self.tag([Bad()]), ["<Bad: its repr raised ZeroDivisionError>"])

    def test_it_is_bounded_and_says_so(self):
        for value in ("x" * 10_000, "𝄞" * 1025, ["x" * 1000] * 10, b"x" * 10_000_000, [[1]] * 10_000_000, "x" * 4097):
            text = self.tag(value)
            self.assertIsInstance(text, str)
            self.assertLessEqual(len(text.encode()), 4096)
            self.assertIn("… (cut", text)
        self.assertEqual(self.tag("x" * 4096), "x" * 4096)

    def test_keys_are_remembered_as_what_they_are(self):
        keys = ["a", "a", 'quo"te', "\n", "", "x" * 5000, "ä", *(f"made up {n}" for n in range(3000)), "a"]
        for n, key in enumerate(keys):
            (text,) = _wire.encode_tags({key: n})
            ((shown, value),) = json.loads("{" + text + "}").items()
            self.assertEqual((shown if len(key) < 1000 else key, value), (key, n))
            self.assertLess(len(shown), 1100)
        self.assertLessEqual(len(_wire._keys), 1000)
        (text,) = _wire.encode_tags({"\ud800": True})
        self.assertEqual(json.loads("{" + text + "}"), {"\ud800": True})

    def test_times_are_json_numbers(self):
        from time import time

        for _ in range(3):
            self.assertAlmostEqual(json.loads(_wire.now()), time() * 1000, delta=60_000)

    def test_what_contains_itself_ends(self):
        endless = []
        endless.append(endless)
        shown = self.tag(endless)
        self.assertIsInstance(shown, list)
        self.assertIn("[...]", json.dumps(shown))

    def test_subclasses(self):
        class Text(str):
            def __str__(self):
                return "not this"

        class Number(int):
            def __repr__(self):
                return "not this"

        self.assertEqual(self.tag([Text("a"), Number(7)]), ["a", 7])

    def test_payloads_round_trip(self):
        value = {"a": [1, 2.5, None, True, 'ä\u2028𝄞"\\'], "b": {}}
        self.assertEqual(_wire.decode_json(_wire.encode_json(value, "value").decode()), value)
        for broken in ("", "[1", "1 2", "nope"):
            with self.assertRaises(ValueError):
                _wire.decode_json(broken)
        self.assertEqual(_wire.decode_json(' {"a": [1e3, -2]}\n'), {"a": [1000.0, -2]})

    @unittest.skipUnless(hasattr(sys, "set_int_max_str_digits"), "this Python writes out any integer")
    def test_an_endless_integer_is_refused_by_its_place(self):
        with self.assertRaisesRegex(ValueError, r"the return value\['n'\] is an integer of \d+ bits"):
            _wire.encode_json({"n": 10**5000}, "the return value")


class Ahead(unittest.TestCase):
    """What a fork server is told to load before its plays."""

    def first(self, source):
        return _ahead._first_imports(compile(source, "f.py", "exec", _ahead.ONLY_TREE).body)

    def test_leading_imports_in_their_order(self):
        self.assertEqual(
            self.first('"""About it."""\nimport wave, chunky.part as c\nfrom none.such import a, b as d\n'),
            ["wave", "chunky.part", "none.such:a,b"],
        )

    def test_nothing_after_another_statement(self):
        self.assertEqual(self.first("import wave\nX = 1\nimport chunky\n"), ["wave"])
        self.assertEqual(self.first("if True:\n    import wave\n"), [])

    def test_neither_what_is_there_nor_relative_nor_the_future(self):
        self.assertEqual(self.first("from __future__ import annotations\nimport sys\nfrom . import x\n"), [])

    def test_a_star_names_nothing(self):
        self.assertEqual(self.first("from wave_of_none import *\n"), ["wave_of_none:"])

    def test_no_python_is_learned_nothing_of(self):
        self.assertEqual(_ahead.learn(json.dumps({"source": "def", "file": "f.py"})), b"\n")

    def test_code_comes_with_it(self):
        imports, _, code = _ahead.learn(json.dumps({"source": "import none_such\nX = 7\n", "file": "f.py"})).partition(
            b"\n"
        )
        self.assertEqual(imports, b"none_such")
        self.assertIn(7, marshal.loads(code).co_consts)


class Leaving(unittest.TestCase):
    """The short way out of a forked play."""

    def test_what_came_after_is_taken_out_the_latest_first(self):
        modules = dict(sys.modules)
        self.addCleanup(lambda: (sys.modules.clear(), sys.modules.update(modules)))
        sys.modules[_leave.__name__] = sys.modules.pop(_leave.__name__)
        first, second = sys.modules["first_of_two"], sys.modules["second_of_two"] = modules_of(2)
        self.assertEqual(_leave.added(), [second, first])
        self.assertNotIn("first_of_two", sys.modules)

    def test_many_are_left_to_the_interpreter(self):
        modules = dict(sys.modules)
        self.addCleanup(lambda: (sys.modules.clear(), sys.modules.update(modules)))
        sys.modules[_leave.__name__] = sys.modules.pop(_leave.__name__)
        for number, module in enumerate(modules_of(_leave.FEW + 1)):
            sys.modules[f"one_of_many_{number}"] = module
        self.assertIsNone(_leave.added())
        self.assertIn("one_of_many_0", sys.modules)

    def test_a_module_is_cleared_private_names_first(self):
        order = []

        class Told:
            def __init__(self, name):
                self.name = name

            def __del__(self):
                order.append(self.name)

        (module,) = modules_of(1)
        module.public, module._private = Told("public"), Told("_private")
        _leave.clear(module)
        self.assertEqual(order, ["_private", "public"])


def modules_of(number):
    return [type(sys)(f"module_{n}") for n in range(number)]


class Metadata(unittest.TestCase):
    def test_metadata(self):
        @flow(
            name="n",
            inputs={"x": "int"},
            outputs=[1],
            timeout=5,
            limits={"memory": "1.5 GiB", "cpu": 2.5, "open_files": 16},
            env=["A"],
        )
        async def function():
            """First
            paragraph.

            Second."""

        meta = function.__hero_flow__
        self.assertEqual((meta["name"], meta["function"], meta["is_async"]), ("n", "function", True))
        self.assertEqual(meta["limits"], {"memory": "1.5 GiB", "cpu": 2.5, "open_files": 16})
        self.assertEqual((meta["inputs"], meta["outputs"], meta["timeout"], meta["env"]), ({"x": "int"}, [1], 5, ["A"]))
        self.assertEqual(meta["description"], "First paragraph.")

    def test_mistakes_are_told(self):
        for options, expected in [
            ({"retries": 1}, "no option 'retries'"),
            ({"timeout": "5"}, "positive number"),
            ({"timeout": True}, "positive number"),
            ({"limits": "512MiB"}, "is a dict"),
            ({"limits": {"memroy": 1}}, "'memroy'"),
            ({"limits": {"memory": "512M"}}, "'memory'"),
            ({"limits": {"memory": "1.5"}}, "'memory'"),
            ({"limits": {"memory": 0}}, "'memory'"),
            ({"limits": {"disk": 1.5}}, "'disk'"),
            ({"limits": {"cpu": "60s"}}, "positive number of seconds"),
            ({"limits": {"cpu": True}}, "positive number of seconds"),
            ({"limits": {"processes": True}}, "'processes'"),
            ({"limits": {"open_files": 3}}, "at least 16"),
            ({"env": "A"}, "list of names"),
            ({"name": 5}, "is text"),
        ]:
            with self.assertRaisesRegex(TypeError, expected):
                flow(**options)
        with self.assertRaisesRegex(TypeError, "below @staticmethod"):
            flow(staticmethod(len))

    def test_errors_survive_pickling(self):
        import pickle

        error = pickle.loads(pickle.dumps(ChildFailed("m", "sid", "failed", {"kind": "x"})))
        self.assertEqual(
            (str(error), error.play_sid, error.kind, error.cause), ("m", "sid", "child_failed", {"kind": "x"})
        )
        self.assertEqual(str(pickle.loads(pickle.dumps(flow.Failed("r")))), "r")


class Standalone(unittest.TestCase):
    def test_everything_is_a_silent_no_op(self):
        self.assertEqual(wire.path, "", "run the tests outside of a play")

        @flow
        def inner(x):
            with flow.step("a", n=1) as span:
                span.tag(x=1)
                span.log("text")
                self.assertFalse(flow.current_span)
                flow.current_span.tag(x=1)
                flow.current_span.log("text")
            return x + 1

        @flow
        async def inner_async(x):
            async with flow.span("b"):
                return x + 2

        self.assertEqual(inner(1), 2)
        self.assertEqual(flow.invoke("inner", x=1), 2)
        self.assertEqual(flow.invoke("inner", spawn=True, x=1), 2)
        self.assertEqual(flow.invoke("inner_async", x=1), 3)
        self.assertEqual(asyncio.run(flow.invoke_async("inner_async", spawn=True, x=1)), 3)
        with self.assertRaisesRegex(FlowError, "without a hero_logic server") as caught:
            flow.invoke("from the library")
        self.assertEqual(caught.exception.kind, "unavailable")

    def test_a_program_on_its_own(self):
        code = FLOW + "@flow\ndef f():\n    with flow.step('s'): print('fine')\nf()\n"
        env = {key: value for key, value in os.environ.items() if not key.startswith("HERO_FLOW")}
        run = subprocess.run([sys.executable, "-c", code], env={**env, "PYTHONPATH": str(SDK)}, capture_output=True)
        self.assertEqual((run.stdout, run.stderr, run.returncode), (b"fine\n", b"", 0))

    def test_importing_it_imports_little(self):
        code = (
            "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]);"
            "import hero_tracing, hero_tracing._child; print(*(set(sys.modules) - before))"
        )
        run = subprocess.run([sys.executable, "-I", "-S", "-c", code, str(SDK)], capture_output=True, text=True)
        loaded = set(run.stdout.split())
        self.assertIn("hero_tracing._child", loaded)
        heavy = {"asyncio", "inspect", "traceback", "typing", "logging", "dataclasses", "uuid", "json", "re", "socket",
                 "linecache", "signal", "enum", "contextlib", "threading", "functools", "collections"}  # fmt: skip
        self.assertEqual(loaded & heavy, set())


class Instrument(PlayTest):
    def test_spans(self):
        result = self.succeed(
            """
            from hero_tracing import flow, instrument
            class Client:
                base = "url"
                class Error(Exception): pass
                def get(self, path, *, verbose=False): return {"path": path, "data": "x" * 10_000}
                async def fetch(self, path): return [path]
                def later(self, path): return self.fetch(path)
                def bad(self): raise self.Error("refused")
                def _private(self): return "private"
                def __enter__(self): return self
                def __exit__(self, *_): pass
                async def __aenter__(self): return self
                async def __aexit__(self, *_): pass
                def __len__(self): return 7
            @flow
            async def hello():
                client = instrument(Client())
                assert isinstance(client, Client) and client.base == "url" and len(client) == 7
                assert client.Error is Client.Error and client._private() == "private"
                client.base = "other"
                assert client.base == "other" and instrument(client) is client
                with client as same: same.get("/x", verbose=True)
                async with client as same: value = [await same.fetch("/y"), await same.later("/z")]
                try: client.bad()
                except client.Error: pass
                return value
            """
        )
        self.assertEqual(result.output, [["/y"], ["/z"]])
        self.assertEqual(
            [e["name"] for e in result.starts.values()][1:],
            ["rpc:Client.get", "rpc:Client.fetch", "rpc:Client.later", "rpc:Client.bad"],
        )
        get = result.tags("rpc:Client.get")
        self.assertEqual(get["params"], {"path": "/x", "verbose": True})
        self.assertLessEqual(len(get["result"]), 4096)
        self.assertEqual(result.span("rpc:Client.get")["kind"], "rpc")
        self.assertEqual(result.tags("rpc:Client.fetch"), {"params": {"path": "/y"}, "result": ["/y"]})
        self.assertEqual(result.tags("rpc:Client.later")["result"], ["/z"])
        self.assertEqual(result.end("rpc:Client.bad")["error"], "Error: refused")

    def test_special_methods(self):
        self.assertEqual(list(instrument([1, 2])), [1, 2])
        self.assertEqual(instrument([1, 2])[0], 1)
        self.assertEqual(instrument([1]), instrument([1]))
        self.assertEqual(repr(instrument({"a": 1})), "{'a': 1}")
        with self.assertRaises(TypeError):
            hash(instrument([]))
        self.assertEqual(instrument(mock.Mock(**{"call.return_value": 5})).call(), 5)


class Clock(unittest.TestCase):
    def test_a_clock_that_was_set_while_a_process_waited_is_seen(self):
        from hero_tracing import _spans, _wire

        before = _wire.EPOCH_NS
        self.addCleanup(_spans.reanchor)
        self.addCleanup(setattr, _wire, "time_ns", _wire.time_ns)
        hour = 3_600_000_000_000
        real = _wire.time_ns
        _wire.time_ns = lambda: real() + hour
        _spans.reanchor()
        self.assertEqual(_wire.EPOCH_NS, _spans.EPOCH_NS)
        self.assertAlmostEqual(_wire.EPOCH_NS, before + hour, delta=60_000_000_000)


if __name__ == "__main__":
    unittest.main()
