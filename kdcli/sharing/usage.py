"""The part of a card that says how to run a student: in Python, on the command line, in onnxruntime."""

from __future__ import annotations

from kdcli.exporters.inputs import DESCRIBED
from kdcli.hub.address import is_hub, parse
from kdcli.hub.declared import STUDENT
from kdcli.plugins import registry
from kdcli.report.tables import amount
from kdcli.sharing.facts import Exported, Facts
from kdcli.sharing.markdown import code, table, words
from kdcli.spec import parse as parse_spec
from kdcli.types import DepthKind

_OF = {"metric": "1 x 1 x h x w, metres", "affine_disparity": "1 x 1 x h x w, larger is nearer"}


def usage(facts: Facts, model: str) -> list[str]:
    """Return the paragraphs. model: what stands for the student."""
    means = _OF.get(DepthKind(facts.card["depth_kind"]), "1 x 1 x h x w, larger is farther")
    python = "\n".join([
        "import kdcli, torchvision",
        'image = torchvision.io.decode_image("photo.jpg", mode="RGB")[None] / 255',
        f'depth = kdcli.load_model("{model}")(image).depth  # {means}',
    ])
    packages = " ".join(["kdcli", *packages_of(str(facts.card["student"]))])
    needs = f"It needs `pip install {packages}`; normalisation and sizes are inside of the network."
    said = [needs, f"```python\n{python}\n```", f"```console\n$ kdcli predict {model} photos --out depth\n```"]
    onnx = next((one for one in facts.exported if one.path.suffix == ".onnx" and _takes_floats(one)), None)
    if onnx is not None:
        size = "of any size" if onnx.size is None else f"of {onnx.size[0]}x{onnx.size[1]}, to which you resize"
        file, imports = f'"{onnx.path.name}"', "import onnxruntime"
        if is_hub(model):
            address = parse(model)
            at = f', revision="{address.revision}"' if address.revision else ""
            file, imports = f'huggingface_hub.hf_hub_download("{address.repository}", {file}{at})', (
                "import huggingface_hub, onnxruntime")
        line = f'depth = onnxruntime.InferenceSession({file}).run(["depth"], {{"image": image.numpy()}})[0]'
        said += [f"Without kdcli, in onnxruntime, which takes an array of 1 x 3 x H x W float32 in 0..1, RGB, {size}:",
                 f"```python\n{imports}\n{line}\n```"]
    return [*said, _files(facts)]


def packages_of(spec: str) -> list[str]:
    """Return the packages beside kdcli whose network a student is."""
    plugin, _ = registry.resolve("student", parse_spec(spec))
    return [] if plugin.built_in or not plugin.distribution else [plugin.distribution]


def _takes_floats(one: Exported) -> bool:
    return one.card.get("image") == DESCRIBED["float"]


def _files(facts: Facts) -> str:
    rows = [[code(STUDENT), "the student: tensors and what they mean, for kdcli", _bytes(facts.student.stat().st_size)]]
    for one in facts.exported:
        size = "any size" if one.size is None else f"{one.size[0]}x{one.size[1]}"
        told = f"runs elsewhere: {words(one.card.get('precision', 'fp32'))}, images of {size}"
        rows.append([code(one.path.name), told, _bytes(sum(file.stat().st_size for file in one.files))])
    return table(["file", "what it is", "bytes"], rows)


def _bytes(count: int) -> str:
    return f"{amount(count)}B" if count >= 1000 else f"{count} B"
