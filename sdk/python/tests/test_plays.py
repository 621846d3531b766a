"""The life of a play's process: what it loads, calls, returns, and how it ends."""

import json
import unittest

from tests.harness import PlayTest

FLOW = "from hero_tracing import flow\n"


class Running(PlayTest):
    def test_calls_the_flow_with_the_input_and_sends_its_value(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            @flow
            def hello(name, *, times=1, sep=" "):
                return {"text": sep.join([name] * times), "none": None}
            """,
            {"name": "Bö𝄞", "times": 2},
        )
        self.assertEqual(result.output, {"text": "Bö𝄞 Bö𝄞", "none": None})
        self.assertEqual(
            (result.root["name"], result.root["kind"], result.root["parent_id"]), ("hello", "flow_root", "")
        )
        self.assertEqual(result.root["source_file"], "hello.py")
        self.assertEqual(result.root_end["status"], "ok")
        self.assertEqual([e["type"] for e in result.events], ["span_start", "output", "span_end"])

    def test_async_flow_and_parent_span(self):
        result = self.succeed(
            FLOW + "@flow\nasync def hello(a, /, b):\n    return a + b\n",
            {"a": 1, "b": 2},
            HERO_FLOW_PARENT_SPAN="other/1.7",
            HERO_FLOW_ATTEMPT="3",
        )
        self.assertEqual(result.output, 3)
        self.assertEqual(result.root["parent_id"], "other/1.7")
        self.assertEqual(result.root["span_id"], "3.1")

    def test_large_input_and_output_travel_as_files(self):
        path = self.dir / "input.json"
        path.write_text(json.dumps({"text": "ä" * 300_000}), "utf-8")
        result = self.succeed(
            FLOW + "@flow\ndef hello(text):\n    return text * 2\n",
            HERO_FLOW_INPUT="",
            HERO_FLOW_INPUT_FILE=str(path),
        )
        (event,) = result.outputs
        self.assertNotIn("data", event)
        self.assertNotIn("/", event["file"])
        self.assertEqual(json.loads((self.spool / event["file"]).read_bytes()), "ä" * 600_000)

    def test_missing_and_unknown_arguments_are_named(self):
        result = self.play(FLOW + "@flow\ndef hello(name, times=1):\n    pass\n", {"nme": 1})
        self.assertEqual(result.code, 1)
        error = result.root_end["error"]
        self.assertIn("'name'", error)
        self.assertIn("'nme'", error)
        exception = result.root_end["exception"]
        self.assertEqual((exception["type"], exception["file"], exception["line"]), ("TypeError", "hello.py", 2))
        self.assertNotIn("hero_tracing", exception["traceback"])

    def test_input_that_is_no_object(self):
        result = self.play(FLOW + "@flow\ndef hello():\n    pass\n", HERO_FLOW_INPUT="[1]")
        self.assertEqual(result.code, 1)
        self.assertIn("JSON object", result.root_end["error"])

    def test_values_that_are_not_json_are_named_with_their_place(self):
        for value, expected in [
            ("{'a': [1, {2}]}", "['a'][1] is of type set"),
            ("[float('nan')]", "[0] is nan"),
            ("{(1, 2): 3}", "key of type tuple"),
            ("{'a': [{1: 2, '1': 3}]}", "['a'][0] has a key of type int (1)"),
            ("{'a': ({None: 0},)}", "['a'][0] has a key of type NoneType"),
            ("{True: 0}", "key of type bool (True)"),
            ("['\\ud800']", "[0] holds a lone surrogate"),
            ("object()", "of type object"),
        ]:
            with self.subTest(value):
                self.server.lines.clear()
                result = self.play(FLOW + f"@flow\ndef hello():\n    return {value}\n")
                self.assertEqual(result.code, 1)
                self.assertIn("the return value", result.root_end["error"])
                self.assertIn(expected, result.root_end["error"])
                self.assertEqual(result.outputs, [])

    def test_value_that_contains_itself(self):
        result = self.play(FLOW + "@flow\ndef hello():\n    a = []\n    a.append(a)\n    return a\n")
        self.assertIn("contains itself", result.root_end["error"])

    def test_a_generators_exit_fails_a_flow_and_no_step(self):
        result = self.play(FLOW + "@flow\ndef hello():\n    with flow.step('a'):\n        raise GeneratorExit\n")
        self.assertEqual(result.code, 1)
        self.assertEqual((result.end("a")["status"], result.root_end["status"]), ("ok", "failed"))
        self.assertIn("GeneratorExit", result.root_end["error"])

    def test_generators_are_refused_as_flows(self):
        result = self.play(FLOW + "@flow\ndef hello():\n    yield 1\n")
        self.assertEqual(result.code, 1)
        self.assertIn("is a generator: return a list", result.root_end["error"])


class Sources(PlayTest):
    def test_main_block_does_not_run(self):
        result = self.succeed(
            FLOW + "@flow\ndef hello():\n    return __name__\nif __name__ == '__main__':\n    raise SystemExit(9)\n"
        )
        self.assertEqual(result.output, "hello")

    def test_modules_beside_the_file(self):
        (self.dir / "beside.py").write_text(FLOW + "@flow\ndef other():\n    pass\nvalue = 42\n")
        result = self.succeed(
            FLOW + "import sys\n@flow\ndef it():\n    return value, __file__, sys.argv, '' in sys.path\n"
            "from beside import value, other\n",
            file=self.dir / "my-flow.py",
            workflow="x",
        )
        file = str(self.dir / "my-flow.py")
        self.assertEqual(result.output, [42, file, [file], False])

    def test_tracebacks_show_the_stored_source(self):
        path = self.dir / "hello.py"
        path.write_text("# changed since\n" * 9)
        result = self.play(FLOW + "@flow\ndef hello():\n    raise ValueError('stored')\n", file=path)
        self.assertIn("raise ValueError('stored')", result.root_end["exception"]["traceback"])

    def test_a_name_of_the_standard_library_is_left_alone(self):
        result = self.succeed(FLOW + "import json\n@flow\ndef it():\n    return json.dumps(__name__)\n", file="json.py")
        self.assertEqual(result.output, '"flow_json"')

    def test_syntax_error(self):
        result = self.play("x = 1\ndef hello(:\n")
        self.assertEqual((result.code, result.stderr), (1, ""))
        self.assertEqual(result.root["name"], "hello")
        exception = result.root_end["exception"]
        self.assertEqual((exception["type"], exception["file"], exception["line"]), ("SyntaxError", "hello.py", 2))
        self.assertIn("def hello(:", exception["traceback"])
        self.assertNotIn("hero_tracing", exception["traceback"])

    def test_exception_at_import(self):
        result = self.play("import does_not_exist_at_all\n")
        self.assertEqual(result.code, 1)
        self.assertIn("does_not_exist_at_all", result.root_end["error"])
        self.assertEqual(result.root_end["exception"]["line"], 1)

    def test_no_flow(self):
        result = self.play("def hello():\n    pass\n")
        self.assertEqual(result.code, 2)
        self.assertIn("marks no function with @flow", result.stderr)
        self.assertEqual(result.root_end["status"], "failed")

    def test_several_flows(self):
        source = (
            FLOW
            + "@flow\ndef a():\n    return 'a'\n@flow(name='bee')\ndef b():\n    return 'b'\n@flow\ndef c():\n    return 'c'\n"
        )
        for flow, workflow, expected in [("bee", "a", "b"), ("b", "a", "b"), (None, "a", "a")]:
            self.server.lines.clear()
            self.assertEqual(self.succeed(source, flow=flow, workflow=workflow).output, expected)
        self.server.lines.clear()
        result = self.play(source, workflow="none of these")
        self.assertEqual((result.code, result.output, result.stderr.count("\n")), (0, "c", 1))
        self.assertIn("a, bee, c", result.stderr)
        self.server.lines.clear()
        result = self.play(source, flow="bee", workflow="none of these")
        self.assertIn("running 'bee'", result.stderr)
        self.server.lines.clear()
        result = self.play(source, flow="dee")
        self.assertEqual(result.code, 2)
        self.assertIn("'dee'", result.stderr)


class Failing(PlayTest):
    def test_traceback_is_the_authors_and_sent_once(self):
        result = self.play(
            """
            from hero_tracing import flow
            @flow.step
            def inner():
                try:
                    {}["key"]
                except KeyError as error:
                    raise ValueError("bad") from error
            @flow
            def hello():
                with flow.step("outer"):
                    inner()
            """
        )
        self.assertEqual((result.code, result.stderr), (1, ""))
        inner, outer, root = result.end("inner"), result.end("outer"), result.root_end
        self.assertEqual({e["status"] for e in (inner, outer, root)}, {"failed"})
        self.assertEqual({e["error"] for e in (inner, outer, root)}, {"ValueError: bad"})
        self.assertNotIn("exception", outer)
        for end in (inner, root):
            text = end["exception"]["traceback"]
            self.assertIn("KeyError: 'key'", text)
            self.assertIn("direct cause", text)
            self.assertNotIn("hero_tracing", text)
            self.assertNotIn("asyncio", text)
            self.assertEqual((end["exception"]["line"], end["exception"]["function"]), (8, "inner"))

    def test_async_traceback_has_no_frames_of_asyncio(self):
        result = self.play(FLOW + "@flow\nasync def hello():\n    raise ValueError('x')\n")
        self.assertEqual(result.code, 1)
        self.assertNotIn("asyncio", result.root_end["exception"]["traceback"])

    def test_failed_is_a_clean_reason(self):
        result = self.play(FLOW + "@flow\ndef hello():\n    raise flow.Failed('no stock')\n")
        self.assertEqual((result.code, result.stderr), (1, ""))
        self.assertEqual(result.root_end["error"], "no stock")
        exception = result.root_end["exception"]
        self.assertEqual(
            (exception["type"], exception["message"], exception["traceback"]), ("Failed", "no stock", None)
        )

    def test_long_and_broken_messages(self):
        result = self.play(
            """
            from hero_tracing import flow
            class Broken(Exception):
                def __str__(self): raise RuntimeError("never")
            @flow
            def hello():
                try:
                    with flow.step("broken"): raise Broken
                except Broken: pass
                raise ValueError("begin" + "ä" * 1_000_000 + "\\ud800 end")
            """
        )
        self.assertIn("its message raised RuntimeError", result.end("broken")["error"])
        end = result.root_end
        self.assertLessEqual(len(end["error"].encode()), 4096)
        self.assertTrue(end["error"].startswith("ValueError: begin") and end["error"].endswith(" end"))
        self.assertLessEqual(len(end["exception"]["traceback"].encode()), 65_536)

    def test_surrogates_in_messages(self):
        result = self.play(FLOW + "@flow\ndef hello():\n    raise ValueError('\\ud800')\n")
        self.assertEqual(result.root_end["error"], "ValueError: \ufffd")
        self.assertIn("\ufffd", result.root_end["exception"]["traceback"])

    def test_exit_codes(self):
        for raised, code, status, stderr in [
            ("SystemExit", 0, "ok", ""),
            ("SystemExit(0)", 0, "ok", ""),
            ("SystemExit(7)", 7, "failed", ""),
            ("SystemExit(256)", 1, "failed", ""),
            ("SystemExit(2**70)", 1, "failed", ""),
            ("SystemExit('why')", 1, "failed", "why\n"),
            ("KeyboardInterrupt", 130, "cancelled", ""),
        ]:
            with self.subTest(raised):
                self.server.lines.clear()
                result = self.play(FLOW + f"@flow\ndef hello():\n    raise {raised}\n")
                self.assertEqual((result.code, result.root_end["status"], result.stderr), (code, status, stderr))

    def test_server_that_was_never_there(self):
        result = self.play(
            FLOW + "@flow\ndef hello():\n    print('out')\n    raise ValueError('x')\n",
            HERO_FLOW_SPAN_SOCK="/nowhere/s",
        )
        self.assertEqual((result.code, result.stdout), (1, "out\n"))
        self.assertIn("ValueError: x", result.stderr)
        self.assertNotIn("hero_tracing", result.stderr)

    def test_a_dead_socket_kills_no_flow_that_resets_sigpipe(self):
        self.server.close_after = 1
        result = self.play(
            """
            from hero_tracing import flow
            from hero_tracing._transport import wire
            import signal
            @flow
            def hello():
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                assert wire._sock.recv(1) == b""  # until the server has closed it
                print("still here")
                with flow.step("step"): pass
            """
        )
        self.assertEqual((result.code, result.stdout), (1, "still here\n"))
        self.assertIn("failed to hand over the return value", result.stderr)

    def test_server_that_goes_away(self):
        self.server.close_after = 2
        result = self.play(
            """
            from hero_tracing import flow
            @flow
            def hello():
                for number in range(100_000):
                    with flow.step("step") as span:
                        span.tag(number=number)
                        if not flow.current_span: break
                print("still here")
                raise ValueError("x")
            """
        )
        self.assertEqual((result.code, result.stdout), (1, "still here\n"))
        self.assertIn("ValueError: x", result.stderr)


if __name__ == "__main__":
    unittest.main()
