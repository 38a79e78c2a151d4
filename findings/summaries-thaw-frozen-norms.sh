#!/usr/bin/env bash
# Printing a summary of a network, or exporting it, lets its frozen batch norms train again.
#
# Expected: a tool that counts layers, or writes a file, leaves the network as it was. A frozen backbone (requires_grad off, its
#   batch norms in evaluation mode, the rest in training) is as frozen after it as before.
# Happens: the tools note one flag, model.training, put everything into evaluation mode, and "restore" with
#   model.train(True), which goes down to every layer. The next training steps move the running statistics of a backbone
#   or of a teacher that hangs in the module, though no weight of it moves. torchinfo, thop and the older exporter of torch do
#   that. ptflops leaves the whole network in evaluation mode. torch's new exporter puts each layer back.
# Seen with: torchinfo 1.8.0, thop 0.1.1.post2209072238, ptflops 0.7.5, torch 2.14.1, onnx 1.23.2, numpy 2.4.6, Python 3.11.
# So: show them a deepcopy, or freeze again afterwards. (The script installs the whole of torch: minutes.)
#
# Output seen (frozen norm, rest; then one training step):
#   untouched                    evaluation, training    statistics stay
#   torchinfo                    training,   training    statistics move
#   thop                         training,   training    statistics move
#   torch.onnx, dynamo=False     training,   training    statistics move
#   torch.onnx, dynamo=True      evaluation, training    statistics stay
#   ptflops                      evaluation, evaluation  statistics stay
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
  torchinfo==1.8.0 thop==0.1.1.post2209072238 ptflops==0.7.5 torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 numpy==2.4.6
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - 2> /dev/null <<'PY'
import ptflops
import thop
import torch
import torchinfo
from torch import nn

image = torch.rand(2, 3, 32, 32)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, image):
        return self.head(self.backbone(image))


def mode(module):
    return "training" if module.training else "evaluation"


def seen(look):
    torch.manual_seed(0)
    net = Net().train()
    net.backbone.requires_grad_(False).eval()
    norm, before = net.backbone[1], net.backbone[1].running_mean.clone()
    look(net)
    assert torch.equal(norm.running_mean, before)
    modes = mode(norm), mode(net)
    net(image)
    return *modes, "stay" if torch.equal(norm.running_mean, before) else "move"


looks = {
    "untouched": lambda net: None,
    "torchinfo": lambda net: torchinfo.summary(net, input_data=image, verbose=0),
    "thop": lambda net: thop.profile(net, (image,), verbose=False),
    "torch.onnx, dynamo=False": lambda net: torch.onnx.export(net, (image,), "old.onnx", dynamo=False),
    "torch.onnx, dynamo=True": lambda net: torch.onnx.export(net, (image,), "new.onnx", dynamo=True, verbose=False),
    "ptflops": lambda net: ptflops.get_model_complexity_info(
        net, (3, 32, 32), print_per_layer_stat=False, verbose=False),
}
found = {}
for name, look in looks.items():
    norm, rest, statistics = found[name] = seen(look)
    print(f"{name:28} {norm + ',':11} {rest:11} statistics {statistics}")
thawed, frozen = ("training", "training", "move"), ("evaluation", "training", "stay")
assert list(found.values()) == [frozen, thawed, thawed, thawed, frozen, ("evaluation", "evaluation", "stay")], "changed"
PY
