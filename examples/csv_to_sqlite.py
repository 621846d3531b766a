"""Reads a CSV file into a SQLite database.

    hero_logic run examples/csv_to_sqlite.py -i path=/some/file.csv
    hero_logic run examples/csv_to_sqlite.py
    python3 examples/csv_to_sqlite.py [/some/file.csv]

Without a path the example makes a sample for itself. One sees a step for each stage; what types the columns
turned out to have, as tags; and each row that does not fit, as a log line of the step that refused it. The
database stays behind as an artifact, in the play's working directory; the result says where it is, how many rows
went in and were refused, and a query that sums up every column, with its answer, so that one can check later that
the file still holds what was put in.
"""

from __future__ import annotations

import csv
import math
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Iterator

from hero_tracing import flow


def integer(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{text} is more than SQLite's integers can hold")
    return value


def real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


TYPES: list[tuple[str, Callable[[str], Any]]] = [("INTEGER", integer), ("REAL", real)]
"""The narrowest first. What is none of these is TEXT."""
NEARLY_ALL = 0.9
"""A column has a type if this share of its values fits it; the rows with the others are bad."""
BATCH = 500
SHOWN = 100
"""So many bad rows are told one by one."""

Row = tuple[int, list[str]]


@flow
def csv_to_sqlite(path: str = "", table: str = "records") -> dict[str, Any]:
    file = Path(path) if path else sample(Path("sample.csv"))
    database = Path(f"{table}.sqlite").absolute()
    header, rows = read(file)
    types = infer(header, rows)
    values, bad = convert(types, rows)
    store(database, table, types, values)
    return {
        "database": str(database),
        "table": table,
        "columns": types,
        "rows": len(values),
        "bad_rows": bad,
        "checksum": checksum(database, table, types),
    }


@flow.step("make a sample")
def sample(file: Path) -> Path:
    """Measurements of three stations, the same ones every time; some rows are damaged."""
    with open(file, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "station", "celsius", "note"])
        for number in range(1, 1201):
            celsius: object = f"{(number * 37 % 400) / 10 - 10:.1f}"
            if number % 397 == 0:
                celsius = "n/a"
            row = [number, ("north", "harbour", "Île d'Or")[number % 3], celsius, "calm, dry" if number % 4 else ""]
            writer.writerow(row[:2] if number % 500 == 0 else row)
    return file


@flow.step("read")
def read(file: Path) -> tuple[list[str], list[Row]]:
    with open(file, newline="", encoding="utf-8-sig") as source:
        reader = csv.reader(source, strict=True)
        try:
            header = next(reader, [])
            rows = [(reader.line_num, fields) for fields in reader if fields]
        except csv.Error as error:
            raise flow.Failed(f"{file}, line {reader.line_num}: {error}") from None
    if not header or len(set(header)) < len(header) or not all(header):
        raise flow.Failed(f"{file} needs a first line with a different name for each column, not {header}")
    flow.current_span.tag(file=str(file), columns=len(header), rows=len(rows))
    return header, rows


@flow.step("infer types")
def infer(header: list[str], rows: list[Row]) -> dict[str, str]:
    types = {}
    for index, column in enumerate(header):
        filled = [fields[index] for _, fields in rows if len(fields) == len(header) and fields[index]]
        types[column] = next((name for name, read in TYPES if share(read, filled) >= NEARLY_ALL), "TEXT")
    flow.current_span.tag(**types)
    return types


def share(read: Callable[[str], Any], values: list[str]) -> float:
    """Which part of the values can be read this way."""
    return sum(fits(read, value) for value in values) / len(values) if values else 0.0


def fits(read: Callable[[str], Any], value: str) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


@flow.step("convert")
def convert(types: dict[str, str], rows: list[Row]) -> tuple[list[list[Any]], int]:
    readers = [dict(TYPES).get(type_, str) for type_ in types.values()]
    span = flow.current_span
    good: list[list[Any]] = []
    bad = 0
    for line, fields in rows:
        problem = ""
        if len(fields) != len(types):
            problem = f"{len(fields)} fields instead of {len(types)}"
        else:
            try:
                good.append([read(field) if field else None for read, field in zip(readers, fields)])
            except ValueError as error:
                problem = str(error)
        if problem:
            bad += 1
            if bad <= SHOWN:
                span.log(f"line {line} left out: {problem}")
    if bad > SHOWN:
        span.log(f"and {bad - SHOWN} more")
    span.tag(good=len(good), bad=bad)
    return good, bad


@flow.step("store")
def store(database: Path, table: str, types: dict[str, str], rows: list[list[Any]]) -> None:
    database.unlink(missing_ok=True)
    columns = ", ".join(f"{quoted(column)} {type_}" for column, type_ in types.items())
    marks = ", ".join("?" * len(types))
    with closing(sqlite3.connect(database)) as connection:
        with connection:  # one transaction: all of it or nothing
            connection.execute(f"CREATE TABLE {quoted(table)} ({columns})")
            for number, batch in enumerate(batches(rows), 1):
                with flow.step(f"insert {number}", rows=len(batch)):
                    connection.executemany(f"INSERT INTO {quoted(table)} VALUES ({marks})", batch)
    flow.current_span.tag(bytes=database.stat().st_size)


def batches(rows: list[list[Any]]) -> Iterator[list[list[Any]]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


@flow.step("checksum")
def checksum(database: Path, table: str, types: dict[str, str]) -> dict[str, Any]:
    sums = (
        f"sum(length({quoted(column)}))" if type_ == "TEXT" else f"sum({quoted(column)})"
        for column, type_ in types.items()
    )
    query = f"SELECT count(*), {', '.join(sums)} FROM {quoted(table)}"
    with closing(sqlite3.connect(database)) as connection:
        return {"query": query, "answer": connection.execute(query).fetchone()}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


if __name__ == "__main__":
    import json

    json.dump(csv_to_sqlite(*sys.argv[1:]), sys.stdout, indent=2)
    print()
