"""Where a job finds python and torchrun."""

import os
import sys


def put_own_tools_first() -> None:
    """Let jobs find the tools that this interpreter came with, whether or not its environment was activated.

    Under `snakemake --sdm conda` a job's activated environment still comes before them.
    """
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
