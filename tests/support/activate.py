#!/usr/bin/env python3
"""Plays a systemd socket unit: listens, and becomes a program that inherits the sockets.

    activate.py NAME=PORT... COMMAND...     on 127.0.0.1, with FileDescriptorName=NAME
"""

import fcntl
import os
import socket
import sys

arguments = sys.argv[1:]
names, sockets = [], []
while "=" in arguments[0]:
    name, port = arguments.pop(0).split("=")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(port)))
    listener.listen(128)
    names.append(name)
    sockets.append(listener)
# To their places from 3 on, by a place aside: one may lie where another is to be.
aside = [fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD_CLOEXEC, 20) for listener in sockets]
for place, number in enumerate(aside):
    os.dup2(number, 3 + place, inheritable=True)
os.environ.update(
    LISTEN_FDS=str(len(sockets)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=":".join(names)
)
os.execvp(arguments[0], arguments)
