"""SIGTERM: the flow cleans up, the spans are closed, the lines stay whole."""

import signal
import unittest

from tests.harness import PlayTest


class Stopping(PlayTest):
    def stop(self, source):
        process = self.begin(source)
        self.server.wait_for(lambda server: any(b"ready" in line for line in server.lines))
        process.send_signal(signal.SIGTERM)
        result = self.finish(process)
        self.assertEqual((result.code, result.stderr), (143, ""))
        self.assertEqual(set(result.starts), set(result.ends))
        self.assertEqual(result.root_end["status"], "cancelled")
        return result

    def test_sync_flow_cleans_up(self):
        result = self.stop(
            """
            from hero_tracing import flow
            import time
            @flow
            def hello():
                with flow.step("inner") as span:
                    try:
                        span.log("ready")
                        time.sleep(60)
                    finally:
                        span.log("cleaned up")
            """
        )
        self.assertEqual(result.logs("inner", "log"), ["ready", "cleaned up"])
        self.assertEqual(result.end("inner")["status"], "cancelled")

    def test_a_second_signal_does_not_cut_the_clean_up_short(self):
        result = self.stop(
            """
            from hero_tracing import flow
            import os, signal, time
            @flow
            def hello():
                try:
                    flow.current_span.log("ready")
                    time.sleep(60)
                finally:
                    os.kill(os.getpid(), signal.SIGTERM)
                    flow.current_span.log("cleaned up")
            """
        )
        self.assertEqual(result.logs("hello", "log"), ["ready", "cleaned up"])

    def test_a_loop_of_the_authors_own(self):
        self.stop(
            """
            from hero_tracing import flow
            import asyncio, time
            async def worker():
                flow.current_span.log("ready")
                time.sleep(60)
            async def main():
                task = asyncio.ensure_future(worker())
                await asyncio.sleep(60)
            @flow
            def hello():
                asyncio.run(main())
            """
        )

    def test_async_flow_cleans_up(self):
        result = self.stop(
            """
            from hero_tracing import flow
            import asyncio
            async def worker():
                with flow.step("worker") as span:
                    try:
                        await asyncio.sleep(60)
                    finally:
                        await asyncio.sleep(0)
                        span.log("cleaned up")
            @flow
            async def hello():
                task = asyncio.ensure_future(worker())
                await asyncio.sleep(0)
                try:
                    flow.current_span.log("ready")
                    await task
                finally:
                    await asyncio.sleep(0)
                    flow.current_span.log("cleaned up")
            """
        )
        self.assertEqual(result.logs("worker", "log"), ["cleaned up"])
        self.assertEqual(result.logs("hello", "log"), ["ready", "cleaned up"])

    def test_async_flow_that_blocks_its_loop(self):
        result = self.stop(
            """
            from hero_tracing import flow
            import asyncio, time
            async def worker():
                with flow.step("worker") as span:
                    span.log("ready")
                    time.sleep(60)
            @flow
            async def hello():
                try:
                    await asyncio.gather(worker(), asyncio.sleep(60))
                finally:
                    await asyncio.sleep(0)
                    flow.current_span.log("cleaned up")
            """
        )
        self.assertEqual(result.logs("hello", "log"), ["cleaned up"])

    def test_a_span_whose_exit_was_interrupted_is_closed(self):
        result = self.play(
            """
            from hero_tracing import flow, Stopped
            @flow
            def hello():
                with flow.step("outer"):
                    flow.step("inner").__enter__()
                    raise Stopped
            """
        )
        self.assertEqual((result.code, result.end("inner")["status"]), (143, "cancelled"))

    def test_lines_are_whole_when_the_signal_comes_while_sending(self):
        result = self.stop(
            """
            from hero_tracing import flow
            @flow
            def hello():
                flow.current_span.log("ready")
                while True:
                    with flow.step("busy"):
                        flow.current_span.log("x" * 1000)
            """
        )
        self.assertNotIn(b"\n", result.lines)

    def test_the_authors_own_handler(self):
        process = self.begin(
            """
            from hero_tracing import flow
            import signal, time
            def handler(*_):
                print("mine")
                raise flow.Failed("stopped my way")
            @flow
            def hello():
                signal.signal(signal.SIGTERM, handler)
                flow.current_span.log("ready")
                time.sleep(60)
            """
        )
        self.server.wait_for(lambda server: any(b"ready" in line for line in server.lines))
        process.send_signal(signal.SIGTERM)
        result = self.finish(process)
        self.assertEqual((result.code, result.root_end["error"]), (1, "stopped my way"))
        self.assertEqual(result.logs("hello", "stdout"), ["mine\n"])


if __name__ == "__main__":
    unittest.main()
