"""What a play prints, and where it lands."""

import unittest

from tests.harness import PlayTest

FLOW = "from hero_tracing import flow\n"


class Output(PlayTest):
    def test_prints_of_interleaved_tasks_and_threads(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import asyncio, threading
            async def task(name):
                with flow.step(name):
                    for number in range(3):
                        print(name, end=" ")
                        await asyncio.sleep(0)
                        print(number)
            @flow
            async def hello():
                await asyncio.gather(task("a"), task("b"))
                barrier = threading.Barrier(4)
                def write(name):
                    barrier.wait()
                    for _ in range(100): print(name, name)
                with flow.step("threads"):
                    threads = [threading.Thread(target=write, args=(c,)) for c in "wxyz"]
                    for thread in threads: thread.start()
                    for thread in threads: thread.join()
            """
        )
        for name in "ab":
            self.assertEqual(result.logs(name, "stdout"), [f"{name} {number}\n" for number in range(3)])
        self.assertEqual(sorted(result.logs("threads", "stdout")), sorted([f"{c} {c}\n" for c in "wxyz"] * 100))
        self.assertEqual(result.stdout, "")

    def test_partial_lines_wait_for_newline_flush_or_the_end_of_the_span(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import sys
            @flow
            def hello():
                with flow.step("a"):
                    sys.stdout.write("one")
                    sys.stdout.write(" line\\ntwo\\nthr")
                    flow.current_span.log("mark")
                    sys.stdout.write("ee")
                    sys.stdout.flush()
                    flow.current_span.log("mark")
                    with flow.step("b"): print("inner")
                    sys.stdout.write("at the end")
                print("never ended", end="")
            """
        )
        self.assertEqual(result.logs("a", "stdout"), ["one line\ntwo\n", "three", "at the end"])
        self.assertEqual(result.logs("hello", "stdout"), ["never ended"])
        last = [e["type"] for e in result.events if e.get("span_id") == result.span("a")["span_id"]][-2:]
        self.assertEqual(last, ["span_log", "span_end"])

    def test_without_a_newline_memory_is_bounded(self):
        result = self.succeed(
            FLOW + "@flow\ndef hello():\n    for _ in range(100):\n        print('\\r' + 'x' * 9_999, end='')\n"
        )
        logs = result.logs("hello", "stdout")
        self.assertEqual("".join(logs), ("\r" + "x" * 9_999) * 100)
        self.assertGreater(len(logs), 10)

    def test_stderr_and_logging(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import logging, sys, warnings
            logging.basicConfig(format="%(message)s")
            @flow
            def hello():
                with flow.step("a"):
                    logging.warning("logged")
                    print("printed", file=sys.stderr)
            """
        )
        self.assertEqual("".join(result.logs("a", "stderr")), "logged\nprinted\n")

    def test_it_is_a_text_stream(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import io, os, sys
            print("before the flow")
            @flow
            def hello():
                out = sys.stdout
                assert isinstance(out, io.TextIOBase) and not out.isatty() and out.writable()
                assert out.encoding.lower() == "utf-8" and out.errors and out.fileno() == 1, out.encoding
                out.writelines(["a\\n", "b\\n"])
                try: out.write(b"bytes")
                except TypeError as error: message = str(error)
                out.buffer.write(b"raw\\n")
                out.flush()
                os.write(1, b"descriptor\\n")
                assert out.write("four") == 4
                return message
            """,
            PYTHONUTF8="1",
        )
        self.assertIn("must be str, not bytes", result.output)
        self.assertEqual(result.stdout, "before the flow\nraw\ndescriptor\n")
        self.assertEqual(result.logs("hello", "stdout"), ["a\n", "b\n", "four"])

    def test_threads_that_outlive_the_flow(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import threading
            @flow
            def hello():
                go = threading.Event()
                def late():
                    go.wait()
                    print("late", end="")
                    with flow.step("late"): pass
                threading.Thread(target=late).start()
                # Runs when the interpreter starts to wait for its threads: the flow has ended by then.
                threading._register_atexit(go.set) if hasattr(threading, "_register_atexit") else go.set()
            """
        )
        self.assertEqual(result.logs("hello", "stdout"), ["late"])
        self.assertEqual(result.parent("late"), "hello")


if __name__ == "__main__":
    unittest.main()
