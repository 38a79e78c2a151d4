"""The keys of a stage with their defaults, and what each means; whether values make sense is asked elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class StageKeys:
    """One stage of a run: what is trained, by whom, on what, for how long."""

    name: str
    train: Literal["student", "transform"] = "student"
    """``student``, or ``transform``: fit the transformation network to the teacher's statistics."""
    data: str = "sim:blocks"
    student: str | None = None
    """What is trained: the run's student (none), ``stage:NAME`` (the network of an earlier stage, from there on) or a
    spec (a network of this stage alone: an assistant, an auxiliary teacher). The last stage trains the run's."""
    freeze: tuple[str, ...] = ()
    """What stays as it is: ``student``, ``student.PATH`` (parts of it, ``*`` for several), or the name of a loss that
    learned in an earlier stage."""
    teachers: tuple[str, ...] = ("demo",)
    """Specs, ``NAME=SPEC`` to give one a name, ``stage:NAME`` for what an earlier stage came to."""
    losses: tuple[tuple[str, float], ...] = (("log-l1", 1.0),)
    """Distillation terms: loss spec and weight. ``teacher=NAME`` in a spec chooses among the teachers, ``as=NAME``
    names the loss; ``LOSS:TERM`` gives one of its terms a weight of its own. Losses of the same name go on with what
    they learned in earlier stages."""
    task_loss: str | None = None
    """A loss against ground truth where an image has it; needs a loss with a per-pixel map."""
    task_weight: float = 1.0
    teacher_engine: Literal["eager", "compile", "onnx", "auto"] = "eager"
    """What runs the teachers that are asked in every step: ``eager`` (PyTorch as it is), ``compile`` (its compiler),
    ``onnx`` (onnxruntime, on the CPU), ``auto`` (what pays of layouts, folded norms and onnxruntime, measured as the
    stage begins)."""
    memory_format: Literal["channels-last", "contiguous", "auto"] = "channels-last"
    """Order of the student's numbers in memory while it trains; ``auto``: the quicker one, measured as the stage
    begins."""
    compile: Literal["off", "default", "reduce-overhead"] = "off"
    """Whether PyTorch's compiler runs the student, forward and backward, and the losses that are formulas on depth;
    ``reduce-overhead``: the student as CUDA graphs."""
    mixers: tuple[str, ...] = ()
    teacher_cache: str = "none"
    """Where the teachers' depth is kept: ``none`` (they are asked in every step), ``memory`` (in main memory, where
    that saves time and fits; else they are asked), ``auto`` (below the user's cache), a folder, or
    ``gt-kd:DIR[,max_depth=M]`` in the layout of TIE-KD's authors."""
    teacher_flip: Literal["auto", "true", "false"] = "auto"
    """Whether kept depth is the mean of an image's and its mirror image's; ``auto``: as the teacher's ``read_out``."""
    teacher_storage: Literal["auto", "png16", "float16", "float32"] = "auto"
    """How depth is kept; ``auto``: ``png16`` for depth, ``float16`` for numbers of unknown offset."""
    looks: tuple[tuple[str, float], ...] = ()
    """Images that the student's losses are taken on, each with its weight: of ``plain`` (as they came), ``mixed``
    (after the mixers) and ``transformed`` (after the transformation network). Empty: the final images, weight 1."""
    transform: str = "none"
    """``none``, ``fitted`` (by an earlier stage of this run), ``joint`` (learned together with the student) or a file
    written by fit-transform."""
    transform_gradient: bool = False
    """Whether the student's losses reach a transformation network that is learned jointly."""
    transform_share: float = 1.0
    """Share of the images that pass the transformation network; the others stay as they are."""
    network: Literal["residual", "affine", "both"] = "both"
    """Form of a transformation network that is fitted or learned jointly."""
    network_width: int = 32
    """Channels inside a transformation network that is fitted."""
    network_layers: int = 2
    """Convolutions between the first and the last one of a transformation network."""
    transform_lr: float | None = None
    """Learning rate of a transformation network; the stage's ``lr`` where it is not given."""
    norm: Literal["l2", "relative"] = "relative"
    """How the statistics of a fitted transformation network are compared: ``relative`` to the teacher's spread, so
    that all layers count alike, or plain ``l2``."""
    statistics: str = "none"
    """File of recorded feature statistics that a transformation network is fitted to; ``none``: the teacher's batch
    norms."""
    statistics_layers: tuple[str, ...] = ()
    """Layers whose statistics count: names, patterns with ``*``, ``first:N``, ``last:N``, shares such as
    ``first:33%``, ``every:K``, ``!`` in front of what does not; all where none is given."""
    statistics_weights: tuple[tuple[str, float], ...] = ()
    """Weights of layers other than 1, by name, pattern or place."""
    statistics_first: float = 1.0
    """Further weight of the layer that runs first."""
    content: float = 1.0
    """Weight of the content term that holds a fitted transformation network to the image."""
    steps: int | None = None
    epochs: int | None = None
    sampling: Literal["even", "hard"] = "even"
    """``even``: each image once an epoch. ``hard``: those whose depth is far from the teacher's come more often."""
    batch_size: int = 16
    size: tuple[int, int] = (96, 128)
    """Height and width that images are brought to: those of training without a ``crop``, and those of evaluation."""
    crop: tuple[int, int] | None = None
    """Height and width of a window cut out of each image at random: what mixers and networks see in training."""
    grow: float = 0.0
    """Share of the steps, at the beginning, in which the student sees images smaller than that: half as high and wide
    at first. Only where no teacher has to be shown them: its depth is kept, or comes with the data."""
    quantised: float = 0.0
    """Share of the steps, at the end, in which the student's convolutions are rounded as a file in eight bits rounds
    them, so that it learns to do with that."""
    flip: bool = True
    """Mirror half of the images, before the mixers."""
    rotate: float = 0.0
    """Largest angle in degrees by which images are rotated about their middle, either way; black and without depth
    where nothing was seen."""
    rotate_probability: float = 0.5
    """Share of the images that are rotated."""
    rotate_taught: bool = True
    """Whether a cached map of the teacher is rotated with its image. TIE-KD's released code leaves it upright; mirror
    and crop move it in any case."""
    jitter: float = 0.0
    """Strength of random brightness, contrast and colour changes, before the mixers."""
    gamma: tuple[float, float] = (1.0, 1.0)
    """Range of the random power that images (0..1) are raised to."""
    brightness: tuple[float, float] = (1.0, 1.0)
    """Range of the random factor on an image."""
    colour: tuple[float, float] = (1.0, 1.0)
    """Range of the random factors on an image's channels."""
    colour_probability: float = 0.5
    """Share of the images that gamma, brightness and colour change, all three."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 1e-3
    """Learning rate at the peak of its schedule."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the averages of gradients and of their squares (adamw, adam)."""
    weight_decay: float = 0.01
    decay_norms: bool = False
    """Whether biases and the weights of norms decay as well: all parameters, as PyTorch does by itself."""
    schedule: Literal["onecycle", "cosine", "step", "constant"] = "onecycle"
    """``onecycle``: cosine up, cosine down. ``cosine``: linear up, cosine down to 0. ``step``: halved at every
    quarter."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises (onecycle, cosine)."""
    start_factor: float = 0.04
    """Where onecycle begins, as a share of ``lr``: 1 / ``div_factor`` of PyTorch's OneCycleLR."""
    end_factor: float = 1e-4
    """Where onecycle ends, as a share of ``lr``: 1 / (``div_factor`` * ``final_div_factor``) of PyTorch's."""
    clip: float = 1.0
    """Largest gradient norm over student and plugin parameters; 0 = no clipping."""
    accumulate: int = 1
    """Batches whose gradients are summed before one update."""
    ema: float = 0.0
    """Decay of the averaged student that is kept; 0 = the plain one."""
    sync_batch_norm: bool = False
    """Whether the student's batch norms see the batch of all processes where several train it, instead of each its
    part."""
    shard_teacher: bool = False
    """Whether processes that train the student together share out the parameters of its teachers, each holding a part,
    for teachers that do not fit a card."""
    amp: Literal["auto", "bf16", "fp16", "off"] = "auto"
    """``auto``: bf16 autocast on CUDA devices that have it. ``bf16``: also on a CPU. ``fp16``: half precision, with a
    factor on the loss that is found as it goes."""
    tf32: Literal["auto", "on", "off"] = "auto"
    """Whether float32 products and convolutions on CUDA round to TF32; ``auto``: as PyTorch has it."""
    reduce: bool = False
    """Decode JPEG files at a half, a quarter or an eighth where that is no smaller than ``size``, and resize files in
    8 bits. Evaluation reads all of an image in any case, and so does whatever makes or reads a teacher cache in a
    folder."""
    keep_images: bool = False
    """Round images of files to 8 bits at ``size`` and keep them in main memory, where all of them fit; simulated ones
    are kept in any case."""
    workers: int | Literal["auto"] = "auto"
    """Processes that decode files, ``auto``: as many as there is use for; simulated sources render on the device
    instead."""
    log_every: int = 10
    checkpoint_every: int = 200
    keep_checkpoints: int = 1
    """How many of the last ones are kept while the stage is under way."""

    @property
    def seen(self) -> tuple[int, int]:
        """Height and width of the images that networks are trained on."""
        return self.crop or self.size
