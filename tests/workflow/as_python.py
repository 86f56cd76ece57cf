"""Stands for `python` in the jobs of a workflow: programs of scripts/ are run by program_server.py, all else by Python.

Started without what Python imports by itself, which would take as long as all that it does.
"""

import json
import os
import socket
import sys

SERVER, PYTHON = sys.argv[1:3]
arguments = sys.argv[3:]
if not arguments or os.path.basename(os.path.dirname(arguments[0])) != "scripts":
    os.execv(PYTHON, [PYTHON, *arguments])
request = os.memfd_create("request")
asked = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
os.write(request, json.dumps(asked).encode())
os.lseek(request, 0, os.SEEK_SET)
with socket.socket(socket.AF_UNIX) as server:
    server.connect(SERVER)
    socket.send_fds(server, [b"!"], [0, 1, 2, request])
    status = int(server.recv(16) or 1)
sys.exit(status if status >= 0 else 128 - status)
