"""How DBOS is set up: its system database in SQLite, in the current directory.

    full       journal WAL, synchronous FULL: as durable as hero_logic
    os         journal WAL, synchronous NORMAL: as hero_logic with --durability os
    prompt     as full, and it looks for messages each 3 ms: with 1, 5 and 10 ms answers take longer
    shipped    as it comes: a rollback journal, synchronous FULL, and messages are looked for each second
"""

import sqlite3
import sys

if sqlite3.sqlite_version_info < (3, 45):
    # DBOS needs a newer SQLite than some systems have; the wheel pysqlite3-binary brings one.
    import pysqlite3

    sys.modules["sqlite3"] = sqlite3 = pysqlite3

from importlib.metadata import version  # noqa: E402

from dbos import DBOS  # noqa: E402

SYNCHRONOUS = {"full": "FULL", "prompt": "FULL", "os": "NORMAL"}
LOOKS_EACH = {"prompt": 0.003}
"""Seconds between two looks for messages, where that is not as it comes."""

_found = set()


def make(kind):
    """DBOS, to be launched once its workflows are known."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def as_durable(connection, _):
        cursor = connection.cursor()
        if kind in SYNCHRONOUS:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute(f"PRAGMA synchronous={SYNCHRONOUS[kind]}")
        journal = cursor.execute("PRAGMA journal_mode").fetchone()[0]
        synchronous = cursor.execute("PRAGMA synchronous").fetchone()[0]
        _found.add(f"{journal.upper()} {('OFF', 'NORMAL', 'FULL', 'EXTRA')[synchronous]}")
        cursor.close()

    more = {"notification_listener_polling_interval_sec": LOOKS_EACH[kind]} if kind in LOOKS_EACH else {}
    DBOS(config={"name": "bench", "log_level": "ERROR", "run_admin_server": False, **more})


def title(kind):
    """What its connections really are."""
    seconds = LOOKS_EACH.get(kind, 1)
    return f"DBOS {version('dbos')}, SQLite {sqlite3.sqlite_version} {' or '.join(sorted(_found))}, looks each {seconds} s"
