"""The snippets for phones, which nothing builds here: what they use of a file is what `kdcli export` writes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from example_nets import EXAMPLES, Small

from kdcli.exporters import export
from kdcli.exporters.formats.native import quiet
from kdcli.types import MadeFor

TYPES = {"UINT8": "tensor(uint8)", "FLOAT": "tensor(float)", "floatBuffer": "tensor(float)"}
"""Words of onnxruntime's Java interface -> types of onnxruntime."""


def exported(folder: Path, suffix: str) -> tuple[Path, dict[str, Any]]:
    """Return the file and the options of the export that the README of an example asks for."""
    text = (EXAMPLES / folder / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\$ (kdcli export .*)$", text, flags=re.MULTILINE)
    words = shlex.split(line)
    options = dict(zip(words[3::2], words[4::2], strict=True))
    path = Path(options["--out"])
    assert path.suffix == suffix
    height, width = map(int, options["--size"].split("x"))
    return path, {
        "size": (height, width), "input": options["--input"], "precision": options.get("--precision", "fp32"),
    }


def constants(text: str, pattern: str) -> dict[str, Any]:
    """Return the constants of a snippet by name: numbers and strings."""
    found = {name.lower(): json.loads(value) for name, value in re.findall(pattern, text, flags=re.MULTILINE)}
    assert set(found) == {"input", "output", "height", "width"}
    return found


def keys_of(text: str) -> set[str]:
    """Return the metadata that a snippet asks for."""
    return set(re.findall(r'about\["(\w+)"\]', text))


@pytest.fixture
def net() -> Small:
    return Small("metric", 10.0, MadeFor(eval_size=(240, 320))).eval()


def test_kotlin_uses_what_the_onnx_file_declares(net: Small, tmp_path: Path) -> None:
    text = (EXAMPLES / "android" / "DepthModel.kt").read_text(encoding="utf-8")
    used = constants(text, r'^private const val (\w+) = (\d+|"\w+")$')
    name, options = exported(Path("android"), ".onnx")
    export(net, None, tmp_path / name, **options)
    session = onnxruntime.InferenceSession(str(tmp_path / name))
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    (shape,) = re.findall(r"longArrayOf\((.*)\)$", text, flags=re.MULTILINE)
    sides = [used.get(side.removesuffix(".toLong()").lower(), side) for side in shape.split(", ")]
    batch = taken.shape[0]
    assert (taken.name, given.name) == (used["input"], used["output"])
    assert [int(side) for side in sides] == [batch if isinstance(batch, int) else 1, *taken.shape[1:]]
    (kind,) = re.findall(r"OnnxJavaType\.(\w+)\)", text)
    assert TYPES[kind] == taken.type and "depth.floatBuffer" in text and TYPES["floatBuffer"] == given.type
    names = re.search(r"val \(_, _, height, width\) = depth\.info\.shape", text)
    assert names and len(given.shape) == 4 and given.shape[1] == 1
    keys = keys_of(text)
    assert {"depth_kind", "unit"} <= keys <= set(session.get_modelmeta().custom_metadata_map)


def test_swift_uses_what_the_core_ml_package_declares(net: Small, tmp_path: Path) -> None:
    with quiet():
        tools = pytest.importorskip("coremltools", reason="coremltools is not installed: pip install 'kdcli[coreml]'")
    text = (EXAMPLES / "ios" / "DepthModel.swift").read_text(encoding="utf-8")
    used = constants(text, r'^ +static let (\w+) = (\d+|"\w+")$')
    name, options = exported(Path("ios"), ".mlpackage")
    export(net, None, tmp_path / name, **options)
    declared = tools.models.utils.load_spec(str(tmp_path / name)).description
    (taken,), (given,) = declared.input, declared.output
    assert (taken.name, given.name) == (used["input"], used["output"])
    assert taken.type.WhichOneof("Type") == "imageType" and "imageConstraint" in text
    image, array = taken.type.imageType, given.type.multiArrayType
    assert (image.height, image.width) == (used["height"], used["width"])
    assert array.dataType == array.ArrayDataType.Value("FLOAT32") and "MLShapedArray<Float>" in text
    assert len(array.shape) == 4 and re.search(r"depth\.shape\[2\].*depth\.shape\[3\]", text)
    keys = keys_of(text)
    assert {"depth_kind", "unit"} <= keys <= set(declared.metadata.userDefined)


def test_the_names_that_the_readmes_use_are_there() -> None:
    """What the pages tell to write calls what the snippets define."""
    for folder, snippet in (("android", "DepthModel.kt"), ("ios", "DepthModel.swift")):
        page, text = ((EXAMPLES / folder / name).read_text(encoding="utf-8") for name in ("README.md", snippet))
        for called in re.findall(r"model\.(\w+)\(", page):
            assert re.search(rf"fun[c]? {called}\(", text), (folder, called)
