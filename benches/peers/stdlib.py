"""What Python itself offers: processes of a pool that are used again, a process of a pool for each task, and a new
interpreter for each task; and functions in this process, which is no isolation and no record at all.

    python3 stdlib.py pool|fresh|subprocess|plain
"""

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

from _peer import each, fib, rate, serve, timed

CODE = "import sys; print(int(sys.argv[1]))"
FIB = "import sys\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nprint(fib(int(sys.argv[1])))"


def trivial(x):
    return x


class Subprocess:
    """`submit` and the like for new interpreters, at most four at once as the pool has."""

    def submit(self, function, number):
        code = CODE if function is trivial else FIB
        return subprocess.Popen([sys.executable, "-I", "-c", code, str(number)], stdout=subprocess.PIPE)

    @staticmethod
    def result(child):
        out, _ = child.communicate()
        if child.returncode:
            raise RuntimeError(f"exit code {child.returncode}")
        return int(out)


def main(kind):
    if kind == "plain":
        return serve(sys.version.split()[0], {"tasks": lambda count, n: timed(lambda: [fib(n) for _ in range(count)])})
    if kind == "subprocess":
        pool, result, workers = Subprocess(), Subprocess.result, 4
    else:
        options = {"max_tasks_per_child": 1} if kind == "fresh" else {}
        if options and sys.version_info < (3, 11):
            raise SystemExit("max_tasks_per_child needs Python 3.11")
        pool, result, workers = ProcessPoolExecutor(4, **options), lambda future: future.result(), 10**9
    submit = pool.submit
    serve(
        sys.version.split()[0],
        {
            "trivial": lambda count, pause: each(count, pause, lambda x: result(submit(trivial, x))),
            "many": lambda count, in_flight, seconds: rate(
                count, min(in_flight, workers), seconds, lambda x: submit(trivial, x), result
            ),
            "tasks": lambda count, n: timed(lambda: [result(submit(fib, n)) for _ in range(count)]),
        },
    )


if __name__ == "__main__":
    main(sys.argv[1])
