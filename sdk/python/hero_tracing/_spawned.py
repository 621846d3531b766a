"""Run by `multiprocessing` as the main module of a spawned worker of a play (never imported otherwise).

A worker has to find the flow's functions by name. The file may have changed, or never existed: the stored
source is what the play runs, so that is what the worker imports.
"""

from __future__ import annotations

import os
import sys

from hero_tracing._source import StoredFinder, StoredSource
from hero_tracing._wire import decode_json

_path = os.environ.get("HERO_FLOW_LAUNCH")
if _path:
    try:
        with open(_path, encoding="utf-8") as _file:
            _launch = decode_json(_file.read())
        sys.meta_path.insert(0, StoredFinder(StoredSource(_launch["source"], _launch["file"])))
    except (OSError, ValueError, KeyError):
        pass  # then the ordinary import has to find it
