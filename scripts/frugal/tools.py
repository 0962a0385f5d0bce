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
    """Let jobs of a cluster start where the path of Python has a space, which Snakemake writes unquoted into their shell."""
    with needs_extra("workflow", "jobs of a cluster"):
        from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    plain = RemoteExecutor.get_python_executable
    if not hasattr(plain, "quotes"):

        def quoted(executor: RemoteExecutor) -> str:
            path = plain(executor)
            return shlex.quote(path) if os.path.exists(path) else path  # a later Snakemake may quote it itself

        quoted.quotes = True
        RemoteExecutor.get_python_executable = quoted
