"""Opens files until it can't; the flow itself sees why.

Expected: `success`: how many it may have open (its own limit says 100), and the error's name.
"""

import errno
import resource

from hero_tracing import flow


@flow(limits={"open_files": 100})
def opens() -> dict:
    files, error = [], None
    while error is None and len(files) < 500:
        try:
            files.append(open("/dev/null"))
        except OSError as failure:
            error = errno.errorcode[failure.errno]
    return {"limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0], "opened": len(files), "error": error}


@flow
def unlimited() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@flow
def spawns() -> int:
    """The limit that a child play of the same source has."""
    return flow.invoke("unlimited", spawn=True)
