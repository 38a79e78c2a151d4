"""What OpenVINO writes about each number of an eight-bit network, without what is said twice.

Weights shrink to a quarter, the text beside them grows by a node for every rounding: of a network of two million
weights it would be a sixth of the whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from kdcli.exporters.formats.packages import needed

_ENDS = ((1, 3), (2, 4))
"""Of a rounding: inputs for the least and greatest number that goes in, and for what these become."""


def condense(graph: Any) -> None:
    """Let roundings share their ends, as plain numbers, and leave out the names of what lies inside of a graph."""
    constant = needed("openvino.opset13", "openvino").constant
    for node in graph.get_ops():
        if node.get_type_name() == "FakeQuantize":
            held = {at: node.input_value(at).get_node().get_data() for pair in _ENDS for at in pair}
            for first, second in _ENDS:
                if held[first].size != 1 or held[second].size != 1:
                    continue
                one = constant(np.float32(held[first].item()))
                same = held[first].item() == held[second].item()
                node.input(first).replace_source_output(one.output(0))
                other = one if same else constant(np.float32(held[second].item()))
                node.input(second).replace_source_output(other.output(0))
    given = {one.get_node().input_value(0).get_node().get_friendly_name() for one in graph.outputs}
    for number, node in enumerate(graph.get_ordered_ops()):
        if node.get_type_name() not in ("Parameter", "Result") and node.get_friendly_name() not in given:
            node.set_friendly_name(str(number))
            for side in node.outputs():
                side.get_tensor().set_names(set())


def without_indentation(path: Path) -> None:
    """Take the white space between the tags of a file away: a third of it, which no reader asks for."""
    path.write_text(re.sub(r">\s+<", "><", path.read_text(encoding="utf-8")), encoding="utf-8")
