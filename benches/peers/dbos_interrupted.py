"""DBOS workflows whose process is killed, and which it recovers when it is started anew: each keeps its steps, then says
so, then waits until it is killed or ends.

    python3 dbos_interrupted.py KIND COUNT STEPS fresh|again stay|end      in a directory of its own
"""

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time

from _peer import child, kill, say, until


def run(kind, count, steps, fresh, stay):
    """The process that is killed, or recovers. It says `launched MOMENT` and, of each workflow, `kept BEGAN MOMENT`."""
    import dbos_setup
    from dbos import DBOS

    dbos_setup.make(kind)

    @DBOS.step()
    def kept(i):
        return i

    @DBOS.workflow()
    def interrupted(steps):
        began = time.time()
        for i in range(steps):
            kept(i)
        say("kept", began, time.time())
        if stay:
            threading.Event().wait()

    DBOS.launch()
    say("launched", time.time())
    for _ in range(count if fresh else 0):
        DBOS.start_workflow(interrupted, steps)
    threading.Event().wait()


class Process:
    """That process, as its parent has it."""

    def __init__(self, kind, directory, *arguments):
        self.began = time.time()
        command = [sys.executable, os.path.abspath(__file__), kind, *map(str, arguments)]
        self.process = child(command, cwd=directory, stdout=subprocess.PIPE, text=True)
        self.launched = self.told("launched", 1)[0][0]

    def told(self, word, count):
        """The moments of so many of these lines."""
        lines = []
        while len(lines) < count:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"the process that is recovered left with {self.process.wait()}")
            said, *moments = line.split()
            if said == word:
                lines.append(list(map(float, moments)))
        return lines

    def __enter__(self):
        return self

    def __exit__(self, *_):
        kill([self.process])
        self.process.stdout.close()


_directories = {}


def interrupted(kind, count, steps, anew):
    """A directory in which so many workflows were interrupted behind their steps."""
    name = f"interrupted-{count}-{steps}"
    if anew or name not in _directories:
        _directories[name] = _directories.get(name, 0) + 1
        directory = os.path.abspath(f"{name}-{_directories[name]}")
        os.mkdir(directory)
        with Process(kind, directory, count, steps, "fresh", "stay") as process:
            process.told("kept", count)
        return directory
    return os.path.abspath(f"{name}-{_directories[name]}")


def all_have_ended(directory):
    """Looks from outside, where it costs the process nothing."""
    with contextlib.closing(sqlite3.connect(f"file:{directory}/bench.sqlite?mode=ro", uri=True)) as database:
        left = "SELECT 1 FROM workflow_status WHERE status NOT IN ('SUCCESS') LIMIT 1"
        until("the end of all workflows", lambda: not database.execute(left).fetchall())


def recovery(kind, count):
    """Seconds from the start of the process until it answers, until the last workflow runs again, until all have ended."""
    directory = interrupted(kind, count, 1, anew=True)
    with Process(kind, directory, count, 1, "again", "end") as process:
        again = process.told("kept", count)
        all_have_ended(directory)
        ended = time.time()
    began = process.began
    return [process.launched - began, max(moment for moment, _ in again) - began, ended - began]


def replay(kind, steps):
    """Seconds from the start of the process until the workflow is behind its steps, and of that from its first statement."""
    directory = interrupted(kind, 1, steps, anew=False)
    with Process(kind, directory, 1, steps, "again", "stay") as process:
        began, kept = process.told("kept", 1)[0]
    return [kept - process.began, kept - began]


if __name__ == "__main__":
    KIND, COUNT, STEPS, START, END = sys.argv[1:]
    run(KIND, int(COUNT), int(STEPS), START == "fresh", END == "stay")
