"""Settings of a training run. One YAML file holds them all; dotted overrides change one at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.fields import MAX_BITS, MIN_BITS, Bounds, check_settings


@dataclass(frozen=True)
class BitsConfig:
    """Bit widths for the whole network, 2 to 8 each; None is float32.

    Attributes:
        weight: Of every weight.
        activation: Of every activation.
        input: Of the clipped input; 8 in the BacalhauNet report. Float32 where weights and activations are.
        sum: Of every residual sum; None leaves the sums unquantized, as in 2021, and the metric charges the next
            layer 32 bits.
        shared_sums: Whether both inputs of a residual sum go through one quantizer.
    """

    weight: int | None = 6
    activation: int | None = 6
    input: int | None = 8
    sum: int | None = 6
    shared_sums: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        bits = Bounds(MIN_BITS, MAX_BITS, null="float32")
        check_settings(self, "bits", weight=bits, activation=bits, input=bits, sum=bits)


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer and its learning-rate schedule.

    Attributes:
        learning_rate: Peak learning rate of Adam; 0.01 in the BacalhauNet report.
        weight_decay: L2 penalty added to the gradient (the report's lambda), as torch's Adam does it.
        schedule: ``warm-restarts``: cosine annealing with warm restarts, the report's; ``one-cycle``: a linear
            warm-up over the first 5 % of the steps, then one cosine to 0, which gives more in a fixed budget.
        period_epochs: Epochs between two warm restarts; 5 in the report.
        gradient_norm: Gradients are scaled down to this L2 norm; 0 leaves them.
        kind: ``adam``, the report's; ``muon``: Muon for the layers' weights and Adam for the rest, which needs less
            than half the frames for the same accuracy.
        matrix_learning_rate: Peak learning rate of Muon.
    """

    learning_rate: float = 0.01
    weight_decay: float = 0.0
    schedule: Literal["warm-restarts", "one-cycle"] = "warm-restarts"
    period_epochs: int = 5
    gradient_norm: float = 0.0
    kind: Literal["adam", "muon"] = "adam"
    matrix_learning_rate: float = 0.02

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_settings(
            self,
            "optimizer",
            learning_rate=Bounds(0, 10, above=True),
            matrix_learning_rate=Bounds(0, 10, above=True),
            weight_decay=Bounds(0, 1),
            period_epochs=Bounds(1),
            gradient_norm=Bounds(0),
        )


Profile = Literal["twin", "field"]
"""What can be generated."""


@dataclass(frozen=True)
class DataConfig:
    """Where frames come from.

    With ``file`` set, training and validation frames are those parts of that data set. Without it they are generated:
    training frames never repeat, and validation frames come from a seed of their own.

    Attributes:
        file: A data set: an HDF5 file in RadioML 2018.01A's layout, an .npz file (frames, labels, names), a folder with
            a folder of recordings for each class, or a folder of SigMF with core:label; None generates.
        profile: What is generated: ``twin`` (RadioML's twin) or ``field`` (signals as on the air).
        classes: Names of the classes of the ``field`` profile, any it has a transmitter for; None for RadioML's 24.
        frame_length: Samples of a frame that recordings are cut to; None for those of a trained network, else 1024.
        frames_per_epoch: Training frames of an epoch; None for 102,400 generated ones, or all of a data set.
        validation_frames_per_cell: Validation frames of each class at each SNR; None for 10 generated ones, or all of
            a data set's.
        snr_min_db: Lowest SNR label trained on, where SNRs are known; -6 in the BacalhauNet report. Validation always
            covers all labels.
    """

    file: Path | None = None
    profile: Profile = "twin"
    classes: tuple[str, ...] | None = None
    frame_length: int | None = None
    frames_per_epoch: int | None = None
    validation_frames_per_cell: int | None = None
    snr_min_db: int = -6

    def __post_init__(self) -> None:
        """Check the ranges."""
        if str(self.file) in get_args(Profile):
            object.__setattr__(self, "profile", str(self.file))
            object.__setattr__(self, "file", None)
        if self.classes is not None and (self.file is not None or self.profile != "field"):
            raise ConfigError(
                f"data.classes is {', '.join(self.classes)}", allowed="with the profile field: other data bring theirs"
            )
        check_settings(
            self,
            "data",
            frame_length=Bounds(1, null="1024"),
            frames_per_epoch=Bounds(1, null="all"),
            validation_frames_per_cell=Bounds(1, null="all"),
            snr_min_db=Bounds(-20, 30),
        )


@dataclass(frozen=True)
class DistillationConfig:
    """A teacher whose soft answers are learned along with the labels.

    Attributes:
        teacher: A saved model, or the name of a shipped network, with the classes of the data.
        weight: Share of the teacher in the loss, 0 to 1; the labels have the rest.
        temperature: Both answers' logits are divided by it before they are compared.
    """

    teacher: str
    weight: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_settings(self, "distillation", weight=Bounds(0, 1), temperature=Bounds(0, 100, above=True))


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What every command that trains takes.

    Attributes:
        optimizer: The optimizer and its schedule.
        data: Where frames come from.
        batch_size: Frames of a batch; 1024 in the BacalhauNet report.
        seed: Decides initial weights, training frames and their order. The same seed gives the same run.
        checkpoint_every_steps: Steps between two checkpoints to resume from.
        threads: Threads of torch; 0 leaves torch's choice.
        accelerator: Where to train, in Lightning's words.
    """

    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    batch_size: int = 1024
    seed: int = 1
    checkpoint_every_steps: int = 100
    threads: int = 0
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"

    def __post_init__(self) -> None:
        """Check the ranges."""
        steps = Bounds(1)
        check_settings(self, batch_size=steps, checkpoint_every_steps=steps, threads=Bounds(0))
        check_settings(self, seed=Bounds(0, 2**31 - 1))

    def training(self, network: str, epochs: int, **more: Any) -> TrainConfig:
        """Return the settings that train ``network`` for ``epochs`` epochs, with any others in place of these."""
        shared = {one.name: getattr(self, one.name) for one in fields(TrainingSettings)}
        return TrainConfig(network=network, epochs=epochs, **{**shared, **more})


@dataclass(frozen=True)
class TrainConfig(TrainingSettings):
    """One training run.

    Attributes:
        network: A name of the catalog, a specification (YAML or JSON), or a saved or shipped model to go on from.
        bits: Bit widths that replace the network's; None keeps them.
        epochs: Number of epochs.
        distillation: A teacher; None learns from the labels alone.
    """

    network: str = "bacalhaunet"
    bits: BitsConfig | None = None
    epochs: int = 10
    distillation: DistillationConfig | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_settings(self, epochs=Bounds(1))

    def with_weight_decay(self, weight_decay: float) -> TrainConfig:
        """Return this run with another L2 penalty."""
        return replace(self, optimizer=replace(self.optimizer, weight_decay=weight_decay))


def plain(value: Any) -> Any:
    """Return dataclasses as dictionaries, tuples as lists and paths as text, all the way down."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value
