"""An interpreter that waits: says its pid on the Unix socket that it is given, and stays until that is closed."""

import os
import socket
import sys

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(b"%d\n" % os.getpid())
connection.recv(1)
