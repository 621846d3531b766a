"""Says its pid on the Unix socket that it is given, and stays until that is closed."""

import os
import socket

from hero_tracing import flow


@flow
def block(path: str):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(b"%d\n" % os.getpid())
        connection.recv(1)
