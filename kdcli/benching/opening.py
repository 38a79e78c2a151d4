"""Open what is measured: models of every kind, exported files in their runtimes, ONNX files of anybody."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor, nn

from kdcli.benching.counting import facts_of, multiply_adds_of
from kdcli.benching.subject import Source, Subject, file_size, of_network
from kdcli.errors import ConfigError, KdcliError, WeightsError
from kdcli.exporters.endings import format_of, is_exported

RUNTIMES = {
    "onnx": ("onnxruntime", "onnxruntime"), "pt2": ("PyTorch", "torch"), "openvino": ("OpenVINO", "openvino"),
    "ncnn": ("ncnn", "ncnn"), "executorch": ("ExecuTorch", "executorch"), "litert": ("LiteRT", "ai-edge-litert"),
    "coreml": ("Core ML", "coremltools"),
}
"""Format -> what runs it, and the distribution that says in which version."""


def opened(source: Source, device: torch.device) -> Subject:
    """Open what a source names. Exported files run on the CPU, whatever the device.

    Raises:
        ConfigError: it is nothing that runs. WeightsError, PluginError, SpecError: as of ``kdcli.models.load_model``.
    """
    from kdcli.evals.baseline import NAME as CONSTANT

    text = source.text
    if text == CONSTANT:
        raise ConfigError(f"'{text}' is no network: there is nothing to measure; leave it out")
    if source.foreign:
        return _foreign(source)
    if is_exported(text):
        return _file(source)
    if text.startswith("student:"):
        return of_network(source, _student(text.removeprefix("student:")), device, bytes=None)
    from kdcli.models import load_model

    network = load_model(text, "cpu")
    return of_network(source, network, device, bytes=_bytes_of(text, network))


def _student(spec: str) -> nn.Module:
    """Build a student with the weights that it begins with: how long it takes does not depend on them."""
    from kdcli.plugins import registry

    built: nn.Module = registry.build("student", spec)
    return built.requires_grad_(False).eval()


def _bytes_of(text: str, network: nn.Module) -> int | None:
    from kdcli.students.files import find_student

    if text.startswith("teacher:"):
        place = getattr(getattr(network, "provenance", None), "weights", None)
        return file_size(Path(place)) if isinstance(place, str) else None
    return file_size(find_student(Path(text.removeprefix("run:"))))


def _file(source: Source) -> Subject:
    from kdcli.exporters.loaded import load_exported
    from kdcli.exporters.sizes import bytes_of, files_of

    path = Path(source.text)
    try:
        model = load_exported(path)
    except WeightsError as error:
        if path.suffix == ".onnx" and _is_foreign(path):
            raise WeightsError(f"'{path}' is no file of kdcli export; give it with --against {path}") from error
        raise
    if not model.runs:
        raise ConfigError(f"'{source.name}' runs on a Mac alone; measure it there")
    format = format_of(path)

    facts = model.card
    return Subject(
        source=source, runtime=runtime_of(format or ""), prepare=model.prepared, size=model.input_size,
        batch=model.batch, usual=model.made_for.eval_size if model.made_for else None,
        precision=source.precision or ("int8" if facts.get("int8") else str(facts.get("precision", "fp32"))),
        bytes=sum(bytes_of(one) for one in files_of(path)), parameters=model.outside_parameters,
        weights=facts.get("sha256"), count=_counting(path) if format == "onnx" else _unknown,
    )


def _is_foreign(path: Path) -> bool:
    """Whether a file can be measured, and says nothing of what its numbers mean."""
    from kdcli.teachers.onnx_session import OnnxSession

    try:
        return "depth_kind" not in OnnxSession(path, maps=False).metadata
    except KdcliError:
        return False


def _foreign(source: Source) -> Subject:
    from kdcli.teachers.onnx_session import OnnxSession

    path = Path(source.text)
    if path.suffix != ".onnx":
        raise ConfigError(f"--against '{path}' is no ONNX file; give FILE.onnx, or name kdcli's own files as MODEL")
    if not path.is_file():
        raise WeightsError(f"there is no ONNX file at '{path}'; check the path")
    session = OnnxSession(path, maps=False)
    height, width = session.size
    if (height is None) != (width is None):
        raise WeightsError(f"'{path}' fixes one side of its images alone ({height or '?'}x{width or '?'}); export it "
                           "with both fixed or both open")
    size, weights = facts_of(path)
    return Subject(
        source=source, runtime=runtime_of("onnx"), prepare=session.prepared,
        size=None if height is None or width is None else (height, width), batch=session.batch,
        precision="", bytes=size, parameters=weights, count=_counting(path),
    )


def _counting(path: Path) -> Callable[[Tensor], int | None]:
    from kdcli.teachers.onnx_session import OnnxSession

    return lambda image: multiply_adds_of(path, OnnxSession(path, maps=False).feed(image))


def _unknown(image: Tensor) -> int | None:
    """Return that nothing counts what a file of another format computes."""
    return None


def runtime_of(format: str) -> str:
    """Return name and version of what runs files of a format."""
    name, distribution = RUNTIMES.get(format, (format, ""))
    try:
        return f"{name} {version(distribution).partition('+')[0]}" if distribution else name
    except PackageNotFoundError:
        return name
