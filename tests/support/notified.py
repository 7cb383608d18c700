#!/usr/bin/env python3
"""Plays systemd to a service: writes down what comes on a notify socket.

    notified.py SOCKET FILE     each message becomes a line of FILE, its own lines apart by " | "
"""

import os
import socket
import sys

path, name = sys.argv[1:]
if os.path.exists(path):
    os.unlink(path)
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(path)
with open(name, "a", buffering=1) as out:
    while True:
        out.write(receiver.recv(4096).decode().replace("\n", " | ") + "\n")
