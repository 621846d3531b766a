"""DBOS: workflows in this process, its system database in SQLite, in the current directory.

    python3 dbos_peer.py full       journal WAL, synchronous FULL: as durable as hero_logic
    python3 dbos_peer.py shipped    as it comes
"""

import sqlite3
import sys

from _peer import each, fib, rate, serve, timed

if sqlite3.sqlite_version_info < (3, 45):
    # DBOS needs a newer SQLite than some systems have; the wheel pysqlite3-binary brings one.
    import pysqlite3

    sys.modules["sqlite3"] = sqlite3 = pysqlite3

from importlib.metadata import version  # noqa: E402

from dbos import DBOS  # noqa: E402

DURABLE = sys.argv[1] == "full"

if DURABLE:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def as_durable(connection, _):
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()


DBOS(config={"name": "bench", "log_level": "ERROR", "run_admin_server": False})


@DBOS.workflow()
def trivial(x):
    return x


@DBOS.step()
def fib_step(n):
    return fib(n)


@DBOS.step()
def nop(i):
    return i


@DBOS.workflow()
def tasks(count, n):
    return sum(fib_step(n) for _ in range(count))


@DBOS.workflow()
def steps(count):
    for i in range(count):
        nop(i)
    return count


DBOS.launch()


def many(count, in_flight, seconds):
    return rate(
        count, in_flight, seconds, lambda x: DBOS.start_workflow(trivial, x), lambda handle: handle.get_result()
    )


serve(
    f"DBOS {version('dbos')}, SQLite {sqlite3.sqlite_version} {'WAL FULL' if DURABLE else 'as shipped'}",
    {
        "trivial": lambda count, pause: each(count, pause, trivial),
        "many": many,
        "tasks": lambda count, n: timed(lambda: tasks(count, n)),
        "steps": lambda count: timed(lambda: steps(count)),
    },
)
DBOS.destroy()
