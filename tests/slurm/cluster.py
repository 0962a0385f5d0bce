"""A Slurm of one machine, real but for its GPUs, to try Frugal on a cluster where there is none.

    python tests/slurm/cluster.py .venv/bin/snakemake --workflow-profile workflow/profiles/slurm ...

As root, with Debian's packages slurm-wlm, munge and rsync: starts munged, slurmctld and slurmd on loopback, runs the command, and
stops and removes all of it. It has no accounting, and two GPUs that are copies of /dev/null.
"""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

CONFIG = Path("/etc/slurm")  # the executor's job steps forget SLURM_CONF, so its default place is the only one
OURS = "# of Frugal's tests, which remove it\n"
COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "setpriv", "rsync")
STARTS = 30  # seconds that the daemons may take
ENDS = 30  # and the jobs, once they are cancelled

SLURM = """\
ClusterName=frugal
SlurmctldHost=localhost
SlurmUser=root
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=20
GresTypes=gpu
NodeName=localhost NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def obstacle() -> str | None:
    """Why no cluster can be started here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Slurm's daemons need root on Linux"
    if lacking := [name for name in COMMANDS if not shutil.which(name, path=_path())]:
        return f"no {', '.join(lacking)}: apt-get install slurm-wlm munge rsync"
    config = CONFIG / "slurm.conf"
    if config.exists() and (not config.read_text().startswith(OURS) or squeue() is not None):
        return f"{config} is there: this machine has a Slurm of its own"
    return None


def squeue(*arguments: str) -> str | None:
    """What squeue prints, without its header; None where no Slurm answers."""
    command = ["timeout", "-k", "5", "20", "squeue", "--noheader", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


class Cluster:
    """Slurm, up within the `with` statement."""

    def __enter__(self) -> "Cluster":
        if reason := obstacle():
            raise RuntimeError(reason)
        self.folder = Path(tempfile.mkdtemp(prefix="frugal-slurm-"))
        self.daemons: list[subprocess.Popen] = []
        try:
            self._configure()
            self._start("munged", "--foreground", "--force", *(f"--{key}={self.folder}/{file}" for key, file in MUNGE))
            self._wait(lambda: (self.folder / "munge.socket").exists(), STARTS, "munged doesn't start")
            self._start("slurmctld", "-D", "-i")
            self._wait(lambda: squeue() is not None, STARTS, "slurmctld doesn't answer")
            self._start("slurmd", "-D", "-N", "localhost")
            self._wait(self._idle, STARTS, "slurmd doesn't register")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            subprocess.run(["timeout", "-k", "5", "20", "scancel", "--user=root"], check=False)
            self._wait(lambda: not (squeue() or running("slurmstepd")), ENDS, "jobs don't end")
        finally:
            self._remove()

    def _configure(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        for gpu in range(2):
            os.mknod(self.folder / f"gpu{gpu}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        ports = [free.getsockname()[1] for free in sockets]
        for free in sockets:
            free.close()
        CONFIG.mkdir(exist_ok=True)
        (CONFIG / "slurm.conf").write_text(OURS + SLURM.format(folder=self.folder, ports=ports))
        (CONFIG / "gres.conf").write_text(f"{OURS}NodeName=localhost Name=gpu File={self.folder}/gpu[0-1]\n")

    def _start(self, *command: str) -> None:
        """A daemon in the foreground that dies with this process, whatever that dies of."""
        with open(self.folder / f"{command[0]}.log", "w") as log:
            argv = ["setpriv", "--pdeathsig", "KILL", *command]
            environment = {**os.environ, "PATH": _path()}
            self.daemons.append(subprocess.Popen(argv, stdout=log, stderr=log, env=environment, start_new_session=True))

    @staticmethod
    def _idle() -> bool:
        done = subprocess.run(["sinfo", "--noheader", "-o", "%t"], capture_output=True, text=True, check=False)
        return done.stdout.strip() == "idle"

    def _wait(self, ready: object, seconds: float, problem: str) -> None:
        until = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > until:
                logs = [f"{file.name}: {file.read_text()[-1000:]}" for file in self.folder.glob("*.log")]
                raise RuntimeError("\n".join([f"Slurm: {problem} within {seconds} s", *logs]))
            time.sleep(0.1)

    def _remove(self) -> None:
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for name in ("slurm.conf", "gres.conf"):
            file = CONFIG / name
            if file.exists() and file.read_text().startswith(OURS):
                file.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


MUNGE = (
    ("key-file", "munge.key"),
    ("socket", "munge.socket"),
    ("pid-file", "munged.pid"),
    ("log-file", "munged.out"),
    ("seed-file", "munged.seed"),
)


def running(*names: str) -> list[str]:
    """Processes of these names, by number."""
    found = []
    for file in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):  # it ended meanwhile
            found += [file.parent.name] if file.read_text().strip() in names else []
    return found


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


if __name__ == "__main__":
    with Cluster():
        sys.exit(subprocess.run(sys.argv[1:], check=False).returncode)
