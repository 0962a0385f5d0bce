"""Tools of a job: where it finds python and torchrun."""

import os
import shlex
import sys

from frugal.errors import needs_extra


def put_own_tools_first() -> None:
    """Let jobs find the tools that this interpreter came with, whether or not its environment was activated.

    Under `snakemake --sdm conda` a job's activated environment still comes before them.
    """
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])


def quote_interpreter() -> None:
    """Let jobs start where the path of Python has a space, which executors of Snakemake write unquoted into their shells."""
    with needs_extra("workflow", "jobs of a cluster"):
        from snakemake_interface_executor_plugins.executors.real import RealExecutor

    plain = RealExecutor.format_job_exec
    if not hasattr(plain, "quotes"):

        def quoted(executor: RealExecutor, job: object) -> str:
            path = executor.get_python_executable()
            if os.path.exists(path):  # a later Snakemake may quote it itself
                executor.get_python_executable = lambda: shlex.quote(path)
            return plain(executor, job)

        quoted.quotes = True
        RealExecutor.format_job_exec = quoted
