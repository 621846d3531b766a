"""What `_inspect.py` reads from a source, as the server runs it."""

import json
import subprocess
import sys
import unittest

from tests.harness import SDK


def inspect(source, raw=None):
    data = raw if raw is not None else json.dumps({"source": source, "file": "hello.py"}).encode()
    run = subprocess.run(
        [sys.executable, "-I", "-S", str(SDK / "hero_tracing" / "_inspect.py")], input=data, capture_output=True
    )
    assert (run.returncode, run.stderr) == (0, b""), run.stderr
    return json.loads(run.stdout.decode("utf-8"))


class Inspect(unittest.TestCase):
    def test_limits_that_only_running_tells_are_not_passed_over(self):
        source = "from hero_tracing import flow\n@flow(limits={})\ndef f(): pass\n"
        for written, read in (
            ("None", None),
            ("{'spans': 3}", {"spans": 3}),
            ("LIMITS", "not written out"),
            ("{'memory': SIZE}", "not written out"),
            ("[1]", "not written out"),
        ):
            with self.subTest(written):
                (flow,) = inspect(source.replace("{}", written))["flows"]
                self.assertEqual(flow["limits"], read)

    def test_a_flow(self):
        result = inspect(
            "import os, json.decoder\nfrom hero_tracing import flow\nfrom . import near\n\n"
            "@flow(name='Hi', timeout=2.5, limits={'memory': '1GiB', 'cpu': 1.5}, env=['A'], inputs={'a': 1}, outputs=make())\n"
            "async def hello(a, /, b: int, c: 'x | y' = 3, *rest, d=[1], e=f(), g, **more):\n"
            '    """Says hi\n    to you.\n\n    More."""\n    import inner\n'
        )
        self.assertIsNone(result["syntax_error"])
        self.assertEqual(result["imports"], ["os", "json", "hero_tracing"])
        (flow,) = result["flows"]
        parameters = flow.pop("parameters")
        self.assertEqual(
            flow,
            {
                "name": "Hi", "function": "hello", "line": 6, "is_async": True, "description": "Says hi to you.",
                "timeout": 2.5, "limits": {"memory": "1GiB", "cpu": 1.5}, "on_interrupt": None, "env": ["A"], "accepts_extra": True, "inputs": {"a": 1}, "outputs": None,
            },
        )  # fmt: skip
        self.assertEqual(
            [(p["name"], p["required"], p["annotation"], p["default"]) for p in parameters],
            [
                ("a", True, None, None),
                ("b", True, "int", None),
                ("c", False, "'x | y'", 3),
                ("d", False, None, [1]),
                ("e", False, None, None),
                ("g", True, None, None),
            ],
        )

    def test_what_counts_as_the_decorator(self):
        def names(source):
            return [flow["name"] for flow in inspect(source)["flows"]]

        for source, expected in [
            ("from hero_tracing import flow\n@flow\ndef a(): pass", ["a"]),
            ("from hero_tracing import flow as x\n@x()\ndef a(): pass\n@flow\ndef b(): pass", ["a"]),
            ("import hero_tracing\n@hero_tracing.flow(name=N)\ndef a(): pass", ["a"]),
            ("import hero_tracing as h\n@h.flow\ndef a(): pass\n@hero_tracing.flow\ndef b(): pass", ["a"]),
            ("from hero_tracing import *\n@flow\ndef a(): pass", ["a"]),
            ("try:\n  from hero_tracing import flow\nexcept E:\n  pass\nif X:\n  @flow\n  def a(): pass", ["a"]),
            (
                "from hero_tracing import flow\nclass C:\n  @flow\n  def a(): pass\ndef f():\n  @flow\n  def b(): pass",
                [],
            ),
            ("from other import flow\n@flow\ndef a(): pass", []),
            ("from hero_tracing import flow\n@flow.step\ndef a(): pass", []),
            ("from hero_tracing import flow\n@other\n@flow(description='D')\ndef a(): pass", ["a"]),
        ]:
            with self.subTest(source):
                self.assertEqual(names(source), expected)

    def test_a_function_is_what_it_uses_too(self):
        def told(helper="return RATE * n", rate="10", default="2", around="", other="5", decorator="@flow.step"):
            source = f"""
{around}
from hero_tracing import flow
import math
RATE = {rate}
OTHER = {other}
def helper(n):
    {helper}
{decorator}
def step(n={default}):
    return helper(n) + math.pi
def apart():
    return OTHER
"""
            return inspect(source)["functions"]

        same = told()
        for changed in (
            dict(helper="return RATE + n"),
            dict(rate="11"),
            dict(default="3"),
        ):
            with self.subTest(changed):
                now = told(**changed)
                self.assertNotEqual(now["step"], same["step"])
                self.assertEqual(now["apart"], same["apart"])
        self.assertNotEqual(told(other="6")["apart"], same["apart"])
        for kept in (
            dict(other="6"),
            dict(around="# where it stands\n"),
            dict(decorator="@flow.step(retries=3)"),
            dict(helper="return  RATE*n  # as before"),
        ):
            with self.subTest(kept):
                self.assertEqual(told(**kept)["step"], same["step"])

    def test_functions_of_the_same_name_all_count(self):
        def told(body):
            return inspect(f"def f():\n{body}\ndef g(): pass\n")["functions"]

        lambdas = told("    return (lambda: 1), (lambda: 2)")
        self.assertNotEqual(told("    return (lambda: 3), (lambda: 2)")["f.<locals>.<lambda>"], lambdas["f.<locals>.<lambda>"])
        self.assertNotEqual(told("    return (lambda: 1), (lambda: 3)")["f.<locals>.<lambda>"], lambdas["f.<locals>.<lambda>"])
        self.assertEqual(told("    return (lambda: 1), (lambda: 2)  # the same"), lambdas)
        branches = "    if f: \n        def h(): return {0}\n    else:\n        def h(): return 2"
        self.assertNotEqual(told(branches.format(1))["f.<locals>.h"], told(branches.format(3))["f.<locals>.h"])

    def test_functions_that_use_each_other(self):
        source = "".join(f"def f{n}(): return f{(n + 1) % 3000}()\n" for n in range(3000))
        self.assertEqual(len(inspect(source)["functions"]), 3000)

    def test_it_never_runs_the_source(self):
        result = inspect("raise SystemExit\nopen('/nowhere')\nfrom hero_tracing import flow\n@flow\ndef a(): pass")
        self.assertEqual(len(result["flows"]), 1)

    def test_broken_sources(self):
        for source, line, column in [
            ("x = 1\ndef a(:\n  pass", 2, None),
            ("x = 1\nreturn 5", 2, 1),
            ("a\n\0", 2, 1),
            ("(" * 10_000, None, None),
            ("-" * 100_000 + "1", None, None),
            ("x = '\ud800'", 1, 1),
            ("if x:\nprint()", 2, None),
            ("x = 1" + "0" * 5000, None, None),
        ]:
            with self.subTest(source[:20]):
                error = inspect(source)["syntax_error"]
                if source.startswith("x = 10") and error is None:
                    continue  # such numbers are fine before Python 3.11
                self.assertTrue(error["message"])
                self.assertGreaterEqual(error["column"], 1)
                self.assertGreaterEqual(error["line"], 1)
                if line is not None:
                    self.assertEqual(error["line"], line)
                if column is not None:
                    self.assertEqual(error["column"], column)

    def test_odd_but_fine_sources(self):
        for source in (
            "",
            "\ufeffx = 1",
            "# -*- coding: nonsense -*-\nx = 1",
            "x = 1\r\ny = 2\r\n",
            "x = '\\ud800'",
            "#" * 2_000_000,
        ):
            with self.subTest(source[:20]):
                self.assertIsNone(inspect(source)["syntax_error"])

    def test_defaults_that_are_no_json(self):
        result = inspect(
            "from hero_tracing import flow\n@flow\ndef a(x={1}, y='\\ud800', z=1e999, w=b'', v=(1,), u={1: 2}): pass"
        )
        defaults = {p["name"]: p["default"] for p in result["flows"][0]["parameters"]}
        self.assertEqual({name: defaults[name] for name in "xzwv"}, {"x": None, "z": None, "w": None, "v": [1]})

    def test_requests_that_are_none(self):
        for raw in (b"", b"nope", b"[]", b'{"file": "x"}', b"\xff", b'{"source": 5}'):
            with self.subTest(raw):
                self.assertTrue(inspect("", raw)["syntax_error"]["message"])


if __name__ == "__main__":
    unittest.main()
