"""Look into an ONNX file before onnxruntime does: only computation, and only the bytes that are declared.

A file can name others that hold its weights, anywhere on the machine; operators can stand for libraries, programs of
another runtime or calls into Python; and sizes that are declared are allocated.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdcli.files import is_lfs_pointer
from kdcli.guard.onnx_tensors import DTYPES, bytes_of, check_tensor
from kdcli.guard.words import Refused

LIMIT = 2**31 - 1
"""Most bytes of one message of protobuf."""

_METADATA = 1 << 20
_NODES = 1_000_000

_STANDARD = ("", "ai.onnx", "ai.onnx.ml")
_ONNXRUNTIME = "com.microsoft"
_TAKEN = ("ai.", "com.microsoft", "com.ms", "org.pytorch")
"""Domains in which a runtime can have operators of its own, which would come before a file's."""

_FUSED = """
    Attention BiasAdd BiasGelu BiasSplitGelu ConvTransposeWithDynamicPads CropAndResize
    DecoderMaskedMultiHeadAttention DequantizeLinear DynamicQuantizeMatMul ExpandDims FastGelu FusedConv FusedGemm
    FusedMatMul GatedRelativePositionBias Gelu GemmFastGelu GridSample GroupNorm GroupQueryAttention ImageScaler
    Inverse Irfft MatMulBnb4 MatMulInteger16 MatMulIntegerToFloat MatMulNBits MaxpoolWithMask MultiHeadAttention
    NhwcConv NhwcFusedConv NhwcMaxPool Pad QAttention QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv
    QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax
    QLinearWhere QuantizeLinear QuickGelu Range ReduceSumInteger RelativePositionBias Rfft RotaryEmbedding
    SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization TransposeMatMul Trilu UnfoldTensor Unique
"""
"""onnxruntime's own operators that compute; others of its domain hold programs for devices or call Python."""


@dataclass(frozen=True)
class OnnxBytes:
    """An inspected file: its bytes, and the tensors that lie in files beside it."""

    data: bytes
    beside: dict[str, np.ndarray[Any, Any]]


def read_onnx(path: Path) -> OnnxBytes:
    """Return the bytes of an ONNX file that does nothing but compute.

    Raises:
        Refused: it is none, or does more. OSError: it cannot be read.
    """
    if not path.is_file() or is_lfs_pointer(path):
        raise Refused("is no file with content; check the path, or run git lfs pull")
    if path.stat().st_size > LIMIT:
        raise Refused(f"has {path.stat().st_size} bytes, more than the 2 GiB that the format can hold in one file")
    import onnx
    from google.protobuf.message import DecodeError

    data = path.read_bytes()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RuntimeError, ValueError) as error:
        raise Refused("is no ONNX file that can be run, or is damaged") from error
    if sum(len(entry.key) + len(entry.value) for entry in model.metadata_props) > _METADATA:
        raise Refused("has more than 1 MiB of metadata")
    defined = {(f.domain, f.name) for f in model.functions if not f.domain.startswith(_TAKEN)}
    beside = {}
    for count, one in enumerate(_walk(model)):
        if count > _NODES:
            raise Refused("has more parts than any network")
        if isinstance(one, onnx.NodeProto):
            _check_node(one, defined)
        elif isinstance(one, onnx.SparseTensorProto):
            raise Refused("holds weights of which only some are written, which are not read")
        elif one.data_location == onnx.TensorProto.EXTERNAL:
            beside[one.name] = _beside(one, path)
        else:
            check_tensor(one)
    outer = {tensor.name for tensor in model.graph.initializer}
    if not set(beside) <= outer:
        raise Refused("has values in other files that are no weights")
    return OnnxBytes(data, beside)


def _walk(model: Any) -> Iterator[Any]:
    """Yield every node and tensor, those of inner graphs and functions too."""
    todo: list[Any] = [model.graph, *model.functions]
    while todo:
        part = todo.pop()
        if hasattr(part, "initializer"):
            yield from part.initializer
            yield from part.sparse_initializer
        defaults = getattr(part, "attribute_proto", ())
        yield from part.node
        for attribute in (*defaults, *(a for node in part.node for a in node.attribute)):
            todo += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
            yield from [*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors]
            yield from [*([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else [])]
            yield from attribute.sparse_tensors


def _check_node(node: Any, defined: set[tuple[str, str]]) -> None:
    domain, name = node.domain, node.op_type
    if domain in _STANDARD or (domain, name) in defined or (domain == _ONNXRUNTIME and name in _FUSED.split()):
        return
    raise Refused(
        f"calls '{domain[:60]}:{name[:60]}', which is no operator of ONNX and could run code; export it without that"
    )


def _beside(tensor: Any, path: Path) -> np.ndarray[Any, Any]:
    """Return a tensor that lies in another file of the same folder.

    Raises:
        Refused: that file is elsewhere, or has not the bytes that are declared.
    """
    said = {entry.key: entry.value for entry in tensor.external_data}
    location = said.get("location", "")
    parts = Path(location).parts
    within = location and not Path(location).is_absolute() and ".." not in parts and "\\" not in location
    file = path.parent / location
    # A download's folder may consist of links into a store of its own.
    homes = {path.parent.resolve(), path.resolve().parent}
    if not within or not file.is_file() or not any(file.resolve().is_relative_to(home) for home in homes):
        raise Refused(f"keeps weights in '{location[:80]}', which is no file in its folder; get that file too")
    if tensor.data_type not in DTYPES:
        raise Refused("keeps weights in another file in a type that is not read from there")
    needs = bytes_of(tensor)
    try:
        offset, length = int(said.get("offset") or 0), int(said.get("length") or needs)
    except ValueError as error:
        raise Refused(f"keeps weights in '{location[:80]}' at a place that is no number") from error
    if offset < 0 or length != needs or offset + needs > file.stat().st_size:
        raise Refused(f"declares {needs} bytes in '{location[:80]}', which has {file.stat().st_size}")
    if not needs:
        return np.zeros(tuple(tensor.dims), DTYPES[tensor.data_type])
    with file.open("rb") as stream:
        whole = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    flat = np.frombuffer(whole, DTYPES[tensor.data_type], needs // np.dtype(DTYPES[tensor.data_type]).itemsize, offset)
    return flat.reshape(tuple(tensor.dims))
