"""Keeps a step, says its pid on the Unix socket that it is given, and stays until it is killed; then says when it ran again."""

import os
import socket
import time

from hero_tracing import flow


@flow.step
def kept():
    return 1


@flow
def interrupted(path: str):
    began = time.time()
    kept()
    if os.environ["HERO_FLOW_ATTEMPT"] == "1":
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(b"%d\n" % os.getpid())
            connection.recv(1)
    return began
