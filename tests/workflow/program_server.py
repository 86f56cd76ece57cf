"""Runs the programs of scripts/ for the tests: what they import, imported once, and a forked process for each.

Whoever connects to its socket hands over standard input, output and error, and a file with a request in JSON:
arguments, environment and folder. He is told the status that the program ended with; if he hangs up before, the program
is killed. The server ends when nobody is connected any more, and removes the folder of its socket.
"""

import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path

from planning import status_of

# What takes long to import, and nothing of the library: each program imports that itself, from its own checkout.
LIBRARIES = (
    *("bokeh.embed", "bokeh.plotting", "h5py", "hdf5plugin", "jsonargparse", "lightning.pytorch.loggers"),
    *("matplotlib.pyplot", "mlflow", "pyarrow", "pydantic", "rocrate.rocrate", "scipy.ndimage", "scipy.optimize"),
    *("scipy.signal", "scipy.spatial", "skimage.metrics", "skimage.registration", "skimage.restoration"),
    *("tensorboard.backend.event_processing.event_accumulator", "torch.utils.tensorboard"),
    *("torchmetrics.functional.image",),
)


def serve(address: str) -> None:
    """Fork a process for each who connects; return in that of a program, which then is to run what `sys.argv` says."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    listening.settimeout(1)
    os.write(1, b"ready\n")
    connected = False
    while True:
        try:
            caller = listening.accept()[0]
        except TimeoutError:
            caller = None
        if caller:
            connected = True
            if os.fork() == 0:
                listening.close()
                return answer(caller)
            caller.close()
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            if connected:
                shutil.rmtree(Path(address).parent)
                os._exit(0)


def answer(caller: socket.socket) -> None:
    """Start what is asked for, wait for its end, and tell it; return in its own process."""
    message, descriptors, *_ = socket.recv_fds(caller, 1, 4)
    if not message:  # he only kept the server up
        os._exit(0)
    with os.fdopen(descriptors.pop(), "rb") as file:
        asked = json.load(file)
    if (program := os.fork()) == 0:
        caller.close()
        return begin(descriptors, **asked)
    ended, _, _ = select.select([caller, process := os.pidfd_open(program)], [], [])
    if process not in ended:
        os.kill(program, signal.SIGKILL)
    caller.sendall(b"%d" % status_of(program, asked["environment"]))
    os._exit(0)


def begin(streams: list[int], arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """Make this process one that has just been started as `python program.py`."""
    for target, source in enumerate(streams):
        os.dup2(source, target)
        os.close(source)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    paths = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:1] = [str(Path(sys.argv[0]).resolve().parent), *paths]


if __name__ == "__main__":
    for name in LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()
    serve(sys.argv[1])
    runpy.run_path(sys.argv[0], run_name="__main__")
