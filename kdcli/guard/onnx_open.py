"""The one place where onnxruntime is given a file: bytes that were inspected, nothing of its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from kdcli.errors import WeightsError
from kdcli.guard.onnx_file import read_onnx
from kdcli.guard.words import Refused
from kdcli.text import line


def open_onnx(path: Path, provider: Any = "CPUExecutionProvider", *, trace: Path | None = None) -> Any:
    """Return onnxruntime's session of a file, on the CPU or on another provider with the CPU behind it.

    trace: where onnxruntime is to write down what each node of the file, as it is in the file, was given and gave; its
    ``end_profiling()`` ends that, and returns the file's name, which begins with this.

    Raises:
        WeightsError: the file does more than compute, declares what it does not hold, or cannot be run.
    """
    import onnxruntime

    try:
        inspected = read_onnx(path)
    except Refused as refused:
        advice = "" if ";" in str(refused) else "; get or export it again"
        raise WeightsError(f"'{path}' {line(refused)}{advice}") from refused
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if trace is not None:
        options.enable_profiling, options.profile_file_prefix = True, os.fspath(trace)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")  # packed weights have no shape
    values = []
    if inspected.beside:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in inspected.beside.values()]
        options.add_external_initializers(list(inspected.beside), values)
    providers = [provider] if provider == "CPUExecutionProvider" else [provider, "CPUExecutionProvider"]
    again = int(len(providers) > 1)  # trying the CPU once more after the CPU would only be told on standard output
    try:
        session = onnxruntime.InferenceSession(inspected.data, options, providers=providers, enable_fallback=again)
        _read_texts(session)
    except Exception as error:  # as many classes of error as ways of being broken
        reason = line(error)[-160:]
        raise WeightsError(f"'{path}' is no ONNX file that can be run ({reason}); get or export it again") from error
    session.kept = values  # onnxruntime reads them where they are, for as long as it runs
    return session


def _read_texts(session: Any) -> None:
    """Ask for every text of a session once: those that are no UTF-8 fail now, not in the midst of work."""
    for value in (*session.get_inputs(), *session.get_outputs()):
        _ = value.name, value.type, list(value.shape)
    _ = session.get_modelmeta().custom_metadata_map
