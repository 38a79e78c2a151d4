"""A file that OpenVINO ran is let go of in any thread, and signals are heard as before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from export_formats import there
from export_nets import Net

from kdcli.exporters.writing import export

CODE = """
import signal, sys, threading, time
from pathlib import Path
import torch
from kdcli.exporters.formats.openvino import OpenvinoFile
signal.signal(signal.SIGUSR2, lambda *_: print("heard", flush=True))
held = [OpenvinoFile(Path(sys.argv[1]))]
held[0].run(torch.rand(1, 3, 64, 96))
other = threading.Thread(target=held.clear)
other.start()
other.join()
signal.raise_signal(signal.SIGUSR2)
time.sleep(0.1)
"""


@pytest.mark.skipif(not hasattr(__import__("signal"), "SIGUSR2"), reason="the system has no such signal")
def test_signals_are_heard_after_another_thread_let_go_of_a_file(tmp_path: Path) -> None:
    there("openvino")
    export(Net().eval(), "openvino", tmp_path / "m.xml", size=(64, 96))
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path / "m.xml")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
