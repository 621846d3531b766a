"""Counts what is in the Python standard library: real work on real input, in parallel.

    hero_logic run examples/stdlib_census.py
    python3 examples/stdlib_census.py

Every module of the interpreter's own standard library is read and parsed. One sees a step for each package
and below it one for each module, thousands of spans while it runs. The five largest packages are child
plays: processes of their own, which run at the same time as this one and whose spans appear below the call
that started them. Files that are no valid Python (the library's tests keep some on purpose) are a log line
of their package, and are counted. The result is one table row for each package, the sums, and the longest
function of all.
"""

from __future__ import annotations

import ast
import asyncio
import os
import platform
import sys
import sysconfig
import warnings
from pathlib import Path
from typing import Any, Iterator

from hero_tracing import flow

STDLIB = Path(sysconfig.get_path("stdlib"))
NOT_THE_LIBRARY = {"site-packages", "dist-packages", "__pycache__"}
TOP_LEVEL = "(top level)"
"""Where the modules belong that are in no package: abc.py, ast.py, …"""
CHILD_PLAYS = 5

Row = dict[str, Any]


@flow
def package_census(package: str) -> Row:
    """One package."""
    return census(package, packages()[package])


@flow(timeout=600)
async def stdlib_census() -> dict[str, Any]:
    """The whole library."""
    with flow.step("find modules") as span:
        found = packages()
        span.tag(packages=len(found), modules=sum(map(len, found.values())))
    by_size = sorted(found, key=lambda package: -sum(file.stat().st_size for file in found[package]))
    large = [package for package in by_size if package != TOP_LEVEL][:CHILD_PLAYS]
    small = {package: found[package] for package in sorted(found) if package not in large}

    # The small ones in a thread of this process, so that the event loop can wait for the child plays.
    *rows, others = await asyncio.gather(
        *(flow.invoke_async("package_census", spawn=True, package=package) for package in large),
        asyncio.to_thread(lambda: [census(*package) for package in small.items()]),
    )
    with flow.step("sum up"):
        return summary(rows + others)


def packages() -> dict[str, list[Path]]:
    """The library's files by top-level package."""
    found: dict[str, list[Path]] = {}
    for directory, subdirectories, files in os.walk(STDLIB):
        subdirectories[:] = sorted(name for name in subdirectories if name not in NOT_THE_LIBRARY)
        below = Path(directory).relative_to(STDLIB)
        package = below.parts[0] if below.parts else TOP_LEVEL
        modules = [Path(directory, name) for name in sorted(files) if name.endswith(".py")]
        if modules:
            found.setdefault(package, []).extend(modules)
    return found


def census(package: str, files: list[Path]) -> Row:
    row: Row = {"package": package, "modules": 0, "lines": 0, "functions": 0, "classes": 0}
    row["unparsed"], row["longest"] = [], None
    with flow.step(package, files=len(files)) as span:
        for file in files:
            try:
                add(row, file)
            except (SyntaxError, ValueError) as error:
                span.log(f"{file.relative_to(STDLIB)} is not valid Python: {error}")
                row["unparsed"].append(str(file.relative_to(STDLIB)))
        span.tag(lines=row["lines"], functions=row["functions"], classes=row["classes"])
    return row


def add(row: Row, file: Path) -> None:
    """Adds one module to its package's row."""
    module = ".".join(file.relative_to(STDLIB).with_suffix("").parts)
    source = file.read_bytes()
    with flow.step(module) as span:
        with flow.step("parse", bytes=len(source)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes like "\d": the library's tests are full of them
            tree = ast.parse(source, str(file))
        functions = classes = 0
        with flow.step("count"):
            for node in statements(tree):
                if isinstance(node, ast.ClassDef):
                    classes += 1
                elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    functions += 1
                    lines = (node.end_lineno or node.lineno) - node.lineno + 1
                    if row["longest"] is None or lines > row["longest"]["lines"]:
                        row["longest"] = {"module": module, "name": node.name, "line": node.lineno, "lines": lines}
        lines = source.count(b"\n") + (not source.endswith(b"\n") and source != b"")
        span.tag(lines=lines, functions=functions, classes=classes)
    row["modules"] += 1
    row["lines"] += lines
    row["functions"] += functions
    row["classes"] += classes


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement at any depth. Expressions hold no definitions, and leaving them out saves most of the time."""
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for field in ("body", "handlers", "orelse", "finalbody", "cases"):
            inner = getattr(node, field, None)
            if isinstance(inner, list):
                waiting.extend(inner)


def summary(rows: list[Row]) -> dict[str, Any]:
    rows.sort(key=lambda row: (-row["lines"], row["package"]))
    longest = [row["longest"] for row in rows if row["longest"]]
    result: dict[str, Any] = {"python": platform.python_version(), "stdlib": str(STDLIB)}
    for column in ("modules", "lines", "functions", "classes"):
        result[column] = sum(row[column] for row in rows)
    result["longest_function"] = max(longest, key=lambda function: function["lines"], default=None)
    result["unparsed"] = sorted(file for row in rows for file in row["unparsed"])
    columns = ("package", "modules", "lines", "functions", "classes")
    result["packages"] = [{column: row[column] for column in columns} for row in rows]
    return result


if __name__ == "__main__":
    import json

    json.dump(asyncio.run(stdlib_census()), sys.stdout, indent=2)
    print()
