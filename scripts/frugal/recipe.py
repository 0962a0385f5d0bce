"""Recipe of a run: how its model is trained, which of the keys fit together, and which of them fit the data."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from frugal.errors import FrugalError


class Strict(BaseModel):
    """A section of the config in which a misspelled key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Augment(Strict):
    """Random changes of training images, on the device."""

    crop_padding: int = Field(0, ge=0, description="random crop after padding by this many pixels")
    padding: Literal["constant", "reflect"] = Field("constant", description="constant: the mean pixel")
    flip: bool | Literal["alternating"] = Field(
        False,
        description="random horizontal flip; alternating: at random in a sample's first epoch, from then on the other way round "
        "in every other epoch",
    )
    resized_crop: tuple[float, float] | None = Field(
        None,
        description="random resized crop: least and largest share of the image's area, e.g. [0.08, 1]; in place of crop_padding",
    )

    policy: Literal["randaugment", "trivialaugment"] | None = Field(
        None, description="RandAugment or TrivialAugment (wide), of torchvision, after crops and flips; null for none"
    )
    operations: int = Field(2, ge=1, description="of randaugment, on each image")
    magnitude: int = Field(9, ge=0, le=30, description="of randaugment's operations")
    mixup: float | None = Field(
        None,
        gt=0,
        description="mix each image with another of its batch, by a share from the Beta distribution of this parameter",
    )
    cutmix: float | None = Field(
        None,
        gt=0,
        description="put a rectangle of another image into each, its share likewise; with mixup, one of them in each step",
    )

    @field_validator("operations", "magnitude")
    @classmethod
    def _of_randaugment(cls, value: int, info: ValidationInfo) -> int:
        if value != cls.model_fields[info.field_name].default and info.data.get("policy") != "randaugment":
            raise ValueError("it belongs to policy randaugment; leave it out")
        return value

    @property
    def mixes(self) -> bool:
        """Whether a training sample is made of two."""
        return self.mixup is not None or self.cutmix is not None

    @field_validator("resized_crop")
    @classmethod
    def _shares(cls, shares: tuple[float, float] | None, info: ValidationInfo) -> tuple[float, float] | None:
        if shares is not None and not 0 < shares[0] <= shares[1] <= 1:
            raise ValueError("give two shares of the area, above 0 and at most 1, the smaller one first")
        if shares is not None and info.data.get("crop_padding"):
            raise ValueError("it replaces crop_padding; set one of them")
        return shares


class Rates(Strict):
    """Multipliers of the learning rate by kind of parameter; the weight decay is divided by them, so that it acts as before."""

    weight: float = Field(1.0, gt=0, description="of weights, and of every parameter that is none of the other kinds")
    bias: float = Field(1.0, gt=0, description="of biases outside of normalisation layers")
    norm_weight: float = Field(1.0, gt=0, description="of the scales of normalisation layers")
    norm_bias: float = Field(1.0, gt=0, description="of the biases of normalisation layers")


class Average(Strict):
    """Average of the weights and statistics over the training, which they are set to each time: Lookahead.

    Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", NeurIPS 2019, https://arxiv.org/abs/1907.08610.
    """

    every: int = Field(5, ge=1, description="steps between two of its updates")
    decay: float = Field(
        0.5, ge=0, lt=1, description="share of the old average that an update keeps, at the end of the training"
    )
    power: float = Field(
        0.0, ge=0, description="the share grows as this power of the progress, from 0; with 0 it is the same throughout"
    )


OF_SCHEDULES = {  # keys of a recipe that only these schedules take
    "start_share": ("cosine", "triangular", "step"),
    "end_share": ("cosine", "triangular"),
    "milestones": ("step",),
    "factor": ("step",),
}


class Recipe(Strict):
    """How a model is trained."""

    epochs: int | float = Field(gt=0, description="may end within one, as 2.5 does")
    batch_size: int = Field(ge=1, description="samples of an optimizer step")
    accumulate: int = Field(
        1,
        ge=1,
        description="equal parts of a batch that are forwarded and back-propagated one after the other, their gradients summed "
        "to one step: less memory of activations for the same batch_size",
    )
    optimizer: Literal["sgd", "adam", "adamw", "muon"] = Field(
        "sgd",
        description="muon: for weights of convolutions and linear layers but the last, AdamW for all else at the same rate",
    )
    learning_rate: float = Field(gt=0, description="the peak of the schedule")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd and muon")
    nesterov: bool = Field(True, description="whether the momentum of sgd or muon is Nesterov's")
    weight_decay: float = Field(0.0, ge=0)
    decay_norm_and_bias: bool = Field(
        True, description="false: no weight decay of biases and of all parameters of normalisation layers"
    )
    rates: Rates = Rates()
    average: Average | None = Field(None, description="average of the weights over the training; null for none")
    grad_clip: float | None = Field(None, gt=0, description="largest norm of a step's gradient; null for any")
    schedule: Literal["constant", "one_cycle", "cosine", "triangular", "step"] = Field(
        "one_cycle",
        description="a function of progress, not of steps; cosine, triangular and step rise straight to the peak first; then "
        "cosine falls as half a wave, triangular straight, step by a factor at each milestone",
    )
    warmup: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="share of the training in which the rate rises, for all schedules but constant; 0 for none",
    )
    start_share: float = Field(
        0.0, ge=0, le=1, description="share of the peak rate that schedules cosine, triangular and step start with"
    )
    end_share: float = Field(
        0.0, ge=0, le=1, description="share of the peak rate that schedules cosine and triangular end with"
    )
    milestones: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        [], description="shares of the training at which schedule step multiplies the rate by factor, e.g. [0.5, 0.75]"
    )
    factor: float = Field(0.1, gt=0, lt=1, description="of schedule step, at each of its milestones")
    early_stopping: int | None = Field(
        None,
        ge=1,
        description="end when the validation loss has had no new minimum for that many epochs; where a strategy removes "
        "neurons, counted after the last removal",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: Literal["balanced"] | list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = Field(
        None,
        description="a weight of each class, in the order of the labels, which multiplies its losses in a step; scaled so "
        "that the mean over the training samples is 1; balanced: every class weighs as much as any other",
    )
    augment: Augment = Augment()
    evaluate_every: int = Field(
        1,
        ge=1,
        description="epochs between two evaluations on the validation set (and the test set, with test_curve); the last epoch "
        "is evaluated in any case",
    )
    test_curve: bool = Field(
        False,
        description="evaluate the test set after every epoch too, for curves as the sources draw them; nothing is chosen by it",
    )
    test_time: Literal["flips", "flips_and_shifts"] | None = Field(
        None,
        description="test the finished net once more, on the mean of its logits for several views of each test image: it and "
        "its mirror image, and with shifts both of them moved by one pixel too; reported as test_accuracy_flips beside the "
        "plain accuracy",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "float32",
        description="bfloat16 and float16 are autocast, weights stay float32; float16 with a scaled loss, steps whose gradients "
        "overflow are skipped; auto takes bfloat16 where a few timed steps show that it pays",
    )
    compile: Literal["auto", "graphs"] | bool = Field(
        "auto",
        description="torch.compile; auto: on a GPU, for runs long enough to pay for it, never on the CPU; "
        "graphs: with CUDA graphs, which `make bench` compares on a GPU",
    )
    deterministic: bool = Field(
        False, description="the same bits on a GPU too, for a price; on the CPU they are the same anyway"
    )

    @field_validator("epochs")
    @classmethod
    def _whole(cls, epochs: int | float) -> int | float:
        """A whole number of them is an int, however it is written: it is part of a run's identity."""
        return int(epochs) if epochs % 1 == 0 else epochs

    @model_validator(mode="after")
    def _keys_fit_together(self) -> "Recipe":
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"accumulate is {self.accumulate}, which cuts batches of {self.batch_size} into no equal parts; choose a divisor"
            )
        if not self.nesterov and self.optimizer not in ("sgd", "muon"):
            raise ValueError(
                f"nesterov is a kind of sgd's and muon's momentum, and optimizer is {self.optimizer}; leave it out"
            )
        for key, schedules in OF_SCHEDULES.items():
            if getattr(self, key) != type(self).model_fields[key].default and self.schedule not in schedules:
                raise ValueError(
                    f"{key} belongs to schedule {' or '.join(schedules)}, and schedule is {self.schedule}; leave it out"
                )
        if self.schedule == "step":
            _check_milestones(self.milestones, self.warmup)
        if self.evaluate_every > 1 and self.early_stopping is not None:
            raise ValueError("early_stopping looks at the validation loss of each epoch; leave evaluate_every out")
        if self.average is not None and self.early_stopping is not None:
            raise ValueError(
                "average is brought into the weights at an end that is known beforehand, which early_stopping leaves open; "
                "set one of them"
            )
        return self


DEFAULTS = Recipe.model_construct().model_dump(mode="json")  # of the keys of a recipe that have one


def _check_milestones(milestones: list[float], warmup: float) -> None:
    """Raise ValueError for those that a rate can't go down at, one after the other."""
    if not milestones:
        raise ValueError("schedule step needs milestones, shares of the training such as [0.5, 0.75]")
    if any(later <= earlier for earlier, later in pairwise(milestones)):
        raise ValueError(f"milestones is {milestones}; give shares of the training that rise")
    if milestones[0] < warmup:
        raise ValueError(
            f"milestones begin at {milestones[0]:g} and the rate rises up to {warmup:g} of the training; lower warmup (0: none)"
        )


def check_weights(weights: list[float], classes: int, dataset: str, where: str) -> None:
    """Raise FrugalError unless there is a weight of each class. where: in the config."""
    if len(weights) != classes:
        raise FrugalError(
            f"{where}: recipe.class_weights lists {len(weights)} weights, and {dataset} has {classes} classes; give one of each, "
            "or say balanced"
        )


def check_channels(channels: int, dataset: str, where: str) -> None:
    """Raise FrugalError for images that policies of augmentation can't change. where: in the config."""
    if channels not in (1, 3):
        raise FrugalError(
            f"{where}: recipe.augment.policy changes grey images and those in colour, of 1 or 3 channels, and those of {dataset} "
            f"have {channels}; leave it out"
        )
