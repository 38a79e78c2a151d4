"""A measurement from beginning to end: open, write, count, weigh, measure in turn."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from kdcli.benching.accuracy import Accuracy, accuracy_of, differing, own_evaluation
from kdcli.benching.alone import memory_of
from kdcli.benching.clock import Stopped, Timed, Times, in_turn
from kdcli.benching.opening import opened
from kdcli.benching.report import Failed, Report, Row
from kdcli.benching.spread import Spread
from kdcli.benching.subject import Size, Source, Subject
from kdcli.benching.written import write
from kdcli.errors import ConfigError
from kdcli.exporters.gate.judge import Precision
from kdcli.exporters.gate.pictures import synthetic
from kdcli.exporters.writing import DEFAULT_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where somebody is told what is done. say: in words; round: one more round is over."""

    say: Callable[[str], None] = lambda text: None
    round: Callable[[], None] = lambda: None


def bench(
    models: Sequence[str], *, against: Sequence[Path] = (), formats: Sequence[tuple[str, Precision]] = (),
    size: Size | None = None, batch: int = 1, threads: int | None = None, rounds: int = 30, warmup: int = 3,
    device: torch.device | str = "cpu", evaluations: Sequence[Accuracy] = (), memory: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Measure models side by side.

    Args:
        models: as on the command line, ``student:SPEC`` too.
        against: ONNX files of anybody, of one image.
        formats: in which every model that is no file of kdcli's export is written and measured beside itself.
        size: of the images; None: what the first model takes or was made for, and every file that takes one size that.
        batch: images at a time.
        threads: of PyTorch and of every runtime; None: as many as PyTorch has.
        rounds: in each of which everything is measured once.
        warmup: rounds before them, of which nothing is kept.
        device: of what PyTorch runs; files run on the CPU.
        evaluations: accuracy by model; a run's own stands in where there is none.
        memory: measure the peak of each in a process of its own.
        progress: is told what is done.

    Raises:
        KdcliError: something cannot be opened, or does not take these images. Stopped: an interruption, with the report
            of the rounds that were done.
    """
    told, device = progress or Progress(), torch.device(device)
    own = {model: own_evaluation(model) for model in models}
    sources = [Source(text=model, name=model, model=model) for model in models]
    sources += [Source(text=str(path), name=str(path), model=str(path), foreign=True) for path in against]
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with ExitStack() as kept:
            subjects = list[Subject]()
            for source in sources:
                told.say(f"opening {source.name}")
                subjects.append(opened(source, device))
            first = size or _usual(subjects)
            for one in subjects:  # all of them before the first is written or measured
                one.require(size or one.size or first, batch)
            subjects, failed = _with_formats(subjects, formats, first, batch, device, kept, told)
            return _measured(subjects, failed, size=size, first=first, batch=batch, rounds=rounds, warmup=warmup,
                             accuracy=partial(_accuracy, evaluations, own), memory=memory, told=told)
    finally:
        torch.set_num_threads(before)


def _usual(subjects: Iterable[Subject]) -> Size:
    """Return the size of all images where none was asked for: what a file fixes, what a network was made for."""
    known = [one.size for one in subjects] + [one.usual for one in subjects]
    return next((one for one in known if one is not None), DEFAULT_SIZE)


def _with_formats(
    subjects: Sequence[Subject], formats: Sequence[tuple[str, Precision]], size: Size, batch: int,
    device: torch.device, kept: ExitStack, told: Progress,
) -> tuple[list[Subject], list[Failed]]:
    """Return what is measured with files of every format behind each network, and what could not be had.

    Raises:
        ConfigError: there is no network to be written.
    """
    if not formats:
        return list(subjects), []
    if all(one.network is None for one in subjects):
        raise ConfigError("--formats writes models, and there are only files here; leave it out, or give a run")
    found, failed = list[Subject](), list[Failed]()
    for one in subjects:
        found.append(one)
        if one.network is None:
            continue
        folder = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="kdcli-bench-")))
        files, missing = write(one.network, one.source.model, formats, folder, size, told.say)
        failed += missing
        for source in files:
            try:
                file = opened(source, device)
                file.require(size, batch)
            except ConfigError as error:  # of one image, say, or for a Mac
                name = f"{source.model} as {Path(source.text).parent.name}"
                failed.append(Failed(name=name, reason=str(error), error=error))
                continue
            found.append(replace(file, parameters=one.parameters))
    return found, failed


def _measured(
    subjects: Sequence[Subject], failed: Sequence[Failed], *, size: Size | None, first: Size, batch: int, rounds: int,
    warmup: int, accuracy: Callable[[Subject, Sequence[Subject]], Accuracy | None], memory: bool, told: Progress,
) -> Report:
    sizes = [size or one.size or first for one in subjects]
    images = {shape: synthetic(batch, shape) for shape in dict.fromkeys(sizes)}
    timed, peaks, counts = list[Timed](), list[int | None](), dict[tuple[object, Size], int | None]()
    for one, shape in zip(subjects, sizes, strict=True):
        told.say(f"trying {one.source.name} in {one.runtime}")
        run = one.ready(shape, batch, images[shape])
        cuda = one.device.type == "cuda"
        timed.append(Timed(run=run, wait=partial(torch.cuda.synchronize, one.device) if cuda else None))
        # What was made of the same weights computes the same.
        key = (one.weights or id(one), shape)
        counts[key] = counts.get(key) or one.count(images[shape])
        peaks.append(memory_of(one.source, str(one.device), size=shape, batch=batch, threads=torch.get_num_threads())
                     if memory else None)
    def report(times: Sequence[Times]) -> Report:
        rows = tuple(
            _row(one, shape, own, times[0], peak, counts[one.weights or id(one), shape], accuracy(one, subjects))
            for one, shape, own, peak in zip(subjects, sizes, times, peaks, strict=True)
        )
        return Report(
            rows=rows, failed=tuple(failed), notes=tuple(_notes(rows, memory)), machine=machine(),
            threads=torch.get_num_threads(), batch=batch, rounds=len(times[0].wall), asked=rounds,
        )

    told.say("measuring")
    try:
        return report(in_turn(timed, rounds=rounds, warmup=warmup, each=told.round))
    except Stopped as stopped:
        stopped.report = report(stopped.times)
        raise


def _row(
    one: Subject, size: Size, times: Times, first: Times, memory: int | None, multiply_adds: int | None,
    accuracy: Accuracy | None,
) -> Row:
    both = bool(times.processor and first.processor)
    return Row(
        name=one.source.name, model=one.source.model, runtime=one.runtime, device=str(one.device),
        precision=one.precision, size=size, wall=Spread.of(times.wall),
        processor=Spread.of(times.processor) if times.processor else None,
        wall_ratio=Spread.of_ratios(times.wall, first.wall),
        processor_ratio=Spread.of_ratios(times.processor, first.processor) if both else None,
        memory=memory, bytes=one.bytes, parameters=one.parameters, multiply_adds=multiply_adds, accuracy=accuracy,
    )


def _accuracy(
    told: Sequence[Accuracy], own: dict[str, Accuracy | None], one: Subject, others: Sequence[Subject]
) -> Accuracy | None:
    """Return the accuracy of a model; of a file in float32 also that of the network here that it was made of, whose
    numbers the gate saw it give.
    """
    names = [one.source.text]
    if one.network is None and one.precision == "fp32" and one.weights is not None:
        names += [other.source.model for other in others if other.network is not None and other.weights == one.weights]
    return accuracy_of(names, told, next((own[name] for name in names if own.get(name)), None))


def _notes(rows: Sequence[Row], memory: bool) -> list[str]:
    """Return what there is to say of accuracies, and of what could not be measured."""
    told = [row.accuracy for row in rows if row.accuracy is not None]
    notes = [note] if (note := differing(told)) else []
    off = dict.fromkeys(
        f"'{row.name}' (at {row.accuracy.size[0]}x{row.accuracy.size[1]})" for row in rows
        if row.accuracy is not None and row.accuracy.size not in (None, row.size)
    )  # fmt: skip
    if off:
        notes.append(f"accuracy was measured at another size than latency of {', '.join(off)}")
    if memory and any(row.memory is None for row in rows):
        notes.append("peak memory could not be measured of all: it needs Linux, or CUDA")
    return notes


def machine() -> str:
    """Return the name of the processor, or what is known of it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except (OSError, ValueError):
        pass
    return platform.processor() or platform.machine()
