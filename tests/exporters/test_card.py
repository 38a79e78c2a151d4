from __future__ import annotations

import json

import pytest
from export_nets import Net

from kdcli.exporters.card import describe


@pytest.mark.parametrize(("told", "wanted"), [
    ("/home/me/weights/AdaBins_nyu.pt", "AdaBins_nyu.pt"),
    ("adabins:/home/me/AdaBins_nyu.pt,size=480x640", "adabins:AdaBins_nyu.pt,size=480x640"),
    ("both:[folder:/data/a b/c|folder:/data/d/e],share=0.5", "both:[folder:c|folder:e],share=0.5"),
    ("C:\\Users\\me\\net.pth", "net.pth"),
    ("https://github.com/isl-org/MiDaS/releases", "https://github.com/isl-org/MiDaS/releases"),
    ("MIT / BSD-3-Clause", "MIT / BSD-3-Clause"),
    ("sim:rooms,count=3000", "sim:rooms,count=3000"),
    ("relative/weights.pt", "relative/weights.pt"),
])
def test_a_file_that_is_handed_on_names_no_folder_of_this_machine(told: str, wanted: str) -> None:
    card = {"teachers": [{"spec": told, "weights": told}], "training_data": told}
    found = describe(Net(), card)
    assert found["training_data"] == wanted
    assert json.loads(found["teachers"]) == [{"spec": wanted, "weights": wanted}]
