"""Scripts of Python started as forks of a process that has imported what they need, which takes longer than most of what they do.

A fork runs the script's file from its first line, with a process id, working folder, environment, output and exit status
of its own; signals reach it like any process. What forks share is what was imported and the seed of Python's hashes, so
what is about these starts the script by subprocess.
"""

import atexit
import gc
import json
import os
import resource
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path


class Fork:
    """A started script, used like subprocess.Popen with pipes."""

    def __init__(self, forks: "Forks", argv: list, cwd=None, env=None, limits=None, session=False):
        self.args, self.returncode, self._forks = argv, None, forks
        (out, out_name), (err, err_name) = tempfile.mkstemp(), tempfile.mkstemp()
        self.stdout, self.stderr = os.fdopen(out), os.fdopen(err)
        how = {"cwd": str(Path(cwd or ".").absolute()), "env": dict(env or os.environ), "limits": limits or {}}
        how["session"] = session
        self.pid = forks.ask({"argv": list(map(str, argv)), **how, "files": [os.devnull, out_name, err_name]})
        os.unlink(out_name)  # both have them open
        os.unlink(err_name)

    def poll(self) -> int | None:
        """The exit status, that of a signal below zero; None while it runs."""
        if self.returncode is None:
            self.returncode = self._forks.ended(self.pid)
        return self.returncode

    def wait(self) -> int:
        while self.poll() is None:
            time.sleep(0.005)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """The process that forks, once it is needed. path: folder to import modules from, as the folder of a script is."""

    def __init__(self, *modules: str, path: Path):
        self.command = [sys.executable, __file__, str(path), *modules]
        self.server, self.statuses = None, {}

    def start(self, argv: list, **how: object) -> Fork:
        """Start a script.

        argv: its path and arguments; how: cwd, env, limits by their names in `resource`, session: whether it has its own
        """
        return Fork(self, argv, **how)

    def run(self, argv: list, **how: object) -> subprocess.CompletedProcess:
        """The same to its end, like subprocess.run with output as text."""
        fork = self.start(argv, **how)
        return subprocess.CompletedProcess(argv, fork.wait(), fork.stdout.read(), fork.stderr.read())

    def ask(self, request: dict) -> int:
        """Fork; returns the process id."""
        if self.server is None:  # it ends when its input does
            pipe = subprocess.PIPE  # without a buffer, in which select would not see a second line
            self.server = subprocess.Popen(self.command, bufsize=0, stdin=pipe, stdout=pipe)
            atexit.register(self.server.communicate)
        self.server.stdin.write(json.dumps(request).encode() + b"\n")
        self.server.stdin.flush()
        while True:
            pid, status = json.loads(self.server.stdout.readline())
            if status is None:
                self.statuses.pop(pid, None)  # of an earlier process of that number
                return pid
            self.statuses[pid] = status

    def ended(self, pid: int) -> int | None:
        """The exit status of a fork that has ended."""
        while pid not in self.statuses and select.select([self.server.stdout], [], [], 0)[0]:
            ended, status = json.loads(self.server.stdout.readline())
            self.statuses[ended] = status
        return self.statuses.get(pid)


SCRIPTS = Path(__file__).parents[1] / "scripts"
TRAINING = Forks("frugal.training.job", "zeus.device", path=SCRIPTS)
REPORTS = Forks("frugal.report.page", "frugal.report.tables", "frugal.report.compare_page", "rich.table", path=SCRIPTS)


def serve() -> dict | None:
    """Fork for each line that is read; returns the request in a fork, and None here where there are no more."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    children = 0
    while True:
        ready = select.select([sys.stdin, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            while children and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                children -= 1
                print(json.dumps([ended[0], os.waitstatus_to_exitcode(ended[1])]), flush=True)
        if sys.stdin in ready:
            if not (line := sys.stdin.readline()):
                return None
            request = json.loads(line)
            files = [os.open(file, os.O_RDWR) for file in request["files"]]
            if pid := os.fork():
                children += 1
                for file in files:
                    os.close(file)
                print(json.dumps([pid, None]), flush=True)
                continue
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor, file in enumerate(files):
                os.dup2(file, descriptor)
            for file in (*files, woken, wake):
                os.close(file)
            return request


def run(script: str) -> int:
    """Run the script's file as Python does; returns the exit status."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.path[0] = sys.argv[1]
    for name in sys.argv[2:]:
        import_module(name)
    gc.freeze()  # a fork's collections don't copy what all of them have
    if (asked := serve()) is None:
        os._exit(0)  # nothing is left to do, and what was imported would say that it leaks
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    if asked["session"]:
        os.setsid()
    for name, limit in asked["limits"].items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    sys.argv = asked["argv"]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    status = run(sys.argv[0])
    threading._shutdown()  # from here as multiprocessing ends its forks
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
