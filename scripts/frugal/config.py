"""config/config.yaml, the keys of `snakemake --config`: what to run, and where."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator

from frugal.config_checks import meant
from frugal.recipe import Strict
from frugal.yamlfile import as_yaml


class Config(Strict):
    """config/config.yaml: what to run. Threads, cores and devices belong to the command line or a profile."""

    model_config = ConfigDict(extra="forbid")

    scale: str = Field(
        "demo",
        description="demo (two CPU cores, minutes) | own (your data) | mnist (a laptop) | cpu (real data) | "
        "strong (CIFAR-10 at 94 %) | standard (real data, one GPU) | published (the sources' settings)",
    )
    studies: list[str] | str = Field("all", description="file names under config/studies, or all that have this scale")
    results: str = Field("results", description="where everything is written")
    caches: str | None = Field(None, description="folder for prepared data sets; null: results/<scale>/data")
    scratch: str | None = Field(
        None, description="folder on a disk of each node, for copies of caches that its runs share, e.g. $TMPDIR"
    )
    data: str | None = Field(
        None, description="folder with downloaded data sets; the variable FRUGAL_DATA does the same"
    )
    device: str = Field(
        "auto", pattern="^(auto|cpu|cuda)$", description="auto takes a GPU where there is one and says so in the record"
    )
    devices: int = Field(1, ge=1, description="GPUs, or CPU processes, that share each run's batches; not their size")
    residency: Literal["auto", "device", "streamed", "files"] = Field(
        "auto",
        description="where training data lies; auto: on the device if it takes less than half of its free memory; "
        "files: training images are decoded from their files in every epoch",
    )
    workers: int = Field(8, ge=1, description="processes of each device that decode images, with residency: files")
    jobs_per_gpu: int = Field(
        1, ge=1, description="runs that may use one GPU at a time; small models leave most of it idle"
    )
    checkpoint_seconds: float = Field(60, ge=0, description="at most this much work is lost to a kill")
    keep: list[Literal["model", "predictions"]] = Field(
        [],
        description="files that a run leaves beside its record: model.safetensors, the net, and predictions.parquet, what "
        "it says of each test sample; of runs that are trained from then on",
    )
    unfit: Literal["error", "skip"] = Field(
        "error",
        description="strategies that can't be trained on a data set and model of their study; skip: leave them out there, as "
        "`skip: true` does for one of them",
    )
    override: dict[str, Any] = Field(
        {},
        description="replaces keys of the studies' scale section, e.g. {seeds: 5, recipe: {epochs: 2}}, and parameters of "
        "strategies; of several values a sweep, e.g. {strategies: {infobatch: {prune_ratio: [0.3, 0.5]}}}",
    )

    @property
    def repeated(self) -> dict[str, str]:
        """What `--config` needs beside scale and studies to plan the same again: keys that are not the default, as YAML.

        Without those that change only how fast or how safely a machine does it.
        """
        others = {"scale", "studies", "scratch", "workers", "jobs_per_gpu", "checkpoint_seconds"}
        chosen = self.model_dump(mode="json", exclude=others, exclude_defaults=True)
        return {key: as_yaml(value) for key, value in chosen.items()}

    @field_validator("results", "caches", "scratch", "data", mode="before")
    @classmethod
    def _paths(cls, path: Any) -> Any:
        return meant(path) if isinstance(path, str) else path

    @field_validator("override", mode="before")
    @classmethod
    def _mapping(cls, override: Any) -> Any:
        if not isinstance(override, dict):
            raise ValueError(
                "it must be a mapping in YAML, quoted for the shell: override='{seeds: 5, recipe: {epochs: 2}}'"
            )
        return with_nulls(override)


def with_nulls(content: Any) -> Any:
    """Snakemake hands over every scalar of a command line as text, and so the word null too."""
    if isinstance(content, dict):
        return {key: with_nulls(value) for key, value in content.items()}
    if isinstance(content, list):
        return [with_nulls(value) for value in content]
    return None if content == "null" else content
