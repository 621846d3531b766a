"""One stream of whole lines, whoever sends: threads, forks, signal handlers; and however long the text."""

import json
import unittest

from tests.harness import PlayTest

FLOW = "from hero_tracing import flow\n"


class Processes(PlayTest):
    def test_fork_in_user_code(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import os, sys
            @flow
            def hello():
                with flow.step("forking"):
                    print("held by the parent", end="")
                    pid = os.fork()
                    if pid == 0:
                        print("from the child")
                        with flow.step("in-child"): pass
                        return "from the child"
                    os.waitpid(pid, 0)
                    print(".")
                    with flow.step("in-parent"): pass
                return "from the parent"
            """
        )
        self.assertEqual(result.output, "from the parent")
        self.assertEqual(result.parent("in-child"), "forking")
        self.assertRegex(result.span("in-child")["span_id"], r"^1\.\d+\.1$")
        self.assertEqual(sorted(result.logs("forking", "stdout")), ["from the child\n", "held by the parent.\n"])
        ends = [e["span_id"] for e in result.events if e["type"] == "span_end"]
        self.assertEqual(len(ends), len(set(ends)), "the child ended its parent's spans")

    def test_fork_while_other_threads_send(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import os, threading
            @flow
            def hello():
                done = threading.Event()
                def chatter():
                    while not done.is_set():
                        with flow.step("chatter"): pass
                threads = [threading.Thread(target=chatter) for _ in range(3)]
                for thread in threads: thread.start()
                for _ in range(20):
                    pid = os.fork()
                    if pid == 0:
                        with flow.step("child"): pass
                        os._exit(0)
                    assert os.waitpid(pid, 0)[1] == 0
                done.set()
                for thread in threads: thread.join()
            """
        )
        self.assertEqual(len(result.spans("child")), 20)

    def test_multiprocessing(self):
        for method in "fork", "spawn", "forkserver":
            with self.subTest(method):
                self.server.lines.clear()
                result = self.succeed(
                    """
                    from hero_tracing import flow
                    import multiprocessing
                    @flow.step
                    def work(x):
                        return x * 2
                    @flow
                    def hello(method):
                        with flow.step("pool"):
                            context = multiprocessing.get_context(method)
                            with context.Pool(2) as pool:
                                values = pool.map(work, [1, 2, 3])
                                pool.close(); pool.join()
                            return values
                    """,
                    {"method": method},
                )
                self.assertEqual(result.output, [2, 4, 6])
                spans = result.spans("work")
                self.assertEqual(len({span["span_id"] for span in spans}), 3)
                parent = result.span("pool")["span_id"] if method == "fork" else ""
                self.assertEqual({span["parent_id"] for span in spans}, {parent})

    def test_other_programs_that_use_the_sdk(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import subprocess, sys
            @flow
            def hello():
                code = "from hero_tracing import flow\\n@flow\\ndef other(): pass\\nother()"
                subprocess.run([sys.executable, "-c", code], check=True)
            """
        )
        other = result.span("other")
        self.assertEqual((other["kind"], other["parent_id"]), ("subflow", ""))
        self.assertNotEqual(other["span_id"], result.root["span_id"])


class Stream(PlayTest):
    def test_lines_never_interleave(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import threading
            def chatter(number):
                with flow.step(f"thread{number}") as span:
                    for line in range(200):
                        span.log(f"{number}:{line}:" + "ä" * (line * 37))
            @flow
            def hello():
                threads = [threading.Thread(target=chatter, args=(n,)) for n in range(16)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
            """
        )
        for number in range(16):
            expected = [f"{number}:{line}:" + "ä" * (line * 37) for line in range(200)]
            self.assertEqual(result.logs(f"thread{number}", "log"), expected)

    def test_sending_from_a_signal_handler_or_finaliser(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import signal
            class Loud:
                def __del__(self): flow.current_span.log("finalised")
            @flow
            def hello():
                ticks = []  # not a counter: a handler may interrupt another one's `+=`
                def handler(*_):
                    ticks.append(1)
                    flow.current_span.log("tick")
                signal.signal(signal.SIGALRM, handler)
                signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
                while len(ticks) < 50:
                    Loud()
                    flow.current_span.log("y" * 100_000)
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, signal.SIG_IGN)
                return len(ticks)
            """
        )
        self.assertEqual(result.logs("hello", "log").count("tick"), result.output)

    def test_no_line_is_longer_than_a_mebibyte(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            @flow
            def hello():
                with flow.step("n" * 2_000_000, **{f"t{n}": "\\x01" * 5000 for n in range(300)}) as span:
                    span.tag(**{f"u{n}": "ü" * 5000 for n in range(300)})
                    span.log("\\x01" * 3_000_000)
                    print("line\\n" * 500_000, end="")
            """
        )
        self.assertLess(max(map(len, result.lines)), 1 << 20)
        name = result.events[1]["name"]
        self.assertEqual("".join(result.logs(name, "log")), "\x01" * 3_000_000)
        self.assertEqual("".join(result.logs(name, "stdout")), "line\n" * 500_000)
        self.assertEqual(len(result.tags(name)), 600)

    def test_surrogates(self):
        result = self.succeed(
            FLOW
            + "@flow\ndef hello():\n"
            + "    with flow.step('\\ud800', tag='\\udcff', pair='\\ud835\\udd1e') as span:\n"
            + "        span.log('\\udfff𝄞')\n        print('\\ud800')\n"
        )
        self.assertEqual(result.tags("\ufffd"), {"tag": "\ufffd", "pair": "\U0001d51e"})
        self.assertEqual(result.logs("\ufffd", "log"), ["\ufffd𝄞"])
        for line in result.lines:
            json.loads(line.decode("utf-8"))

    def test_times_never_run_backwards(self):
        result = self.succeed(
            """
            from hero_tracing import flow
            import time
            @flow
            def hello():
                real = time.time
                time.time = lambda: real() - 1000
                with flow.step("a"): pass
            """
        )
        end, start = result.end("a")["end_ms"], result.span("a")["start_ms"]
        self.assertGreaterEqual(end, start)
        self.assertGreaterEqual(result.root_end["end_ms"], end)
        self.assertGreater(start, 1.6e12)


if __name__ == "__main__":
    unittest.main()
