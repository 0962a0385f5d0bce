# Reads the config files before Snakemake does, which takes the last of two equal keys and shows a traceback for a stray byte.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, "scripts")

from frugal.errors import FrugalError
from frugal.yamlfile import read_yaml

try:
    for file in dict.fromkeys(["config/config.yaml", *workflow.configfiles]):
        read_yaml(Path(file))
except FrugalError as error:
    raise WorkflowError(str(error)) from None
