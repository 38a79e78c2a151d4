"""``tensorboard``: event files in the run folder, one folder for the student and one for its twin.

Records are made and framed by TensorBoard's own package, into plain files. ``torch.utils.tensorboard`` is left alone:
it opens files through TensorFlow where that is installed, which takes seconds and prints.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from kdcli.loggers.packages import needed
from kdcli.records import RunRecord, StepRecord

PROTO = "tensorboard.compat.proto"


class TensorBoardLogger:
    """Curves, results and pictures for ``tensorboard --logdir RUN``, or a folder of runs. folder: where in the run.

    ``student`` and ``twin`` are runs of their own to TensorBoard, so that the same curves lie in one chart.
    """

    api_version = 2

    def __init__(self, folder: str = "tensorboard") -> None:
        needed("tensorboard", "tensorboard")
        self._writing = needed("tensorboard.summary.writer.record_writer", "tensorboard")
        self._events = needed(f"{PROTO}.event_pb2", "tensorboard")
        self._summaries = needed(f"{PROTO}.summary_pb2", "tensorboard")
        self._tensors = needed(f"{PROTO}.tensor_pb2", "tensorboard")
        self._types = needed(f"{PROTO}.types_pb2", "tensorboard")
        self._folder, self._run = folder, Path()
        self._resumed = False
        self._steps: Mapping[str, int] = {}
        self._files: dict[str, _EventFile] = {}
        self.where = ""

    def begin(self, run: RunRecord) -> None:
        """Note where to write; files are made when there is something to write."""
        self._run, self._resumed, self._steps = run.folder / self._folder, run.resumed, run.steps
        self.where = f"tensorboard --logdir {self._run}"
        if not run.resumed:
            self._text("student", "config", json.dumps(dict(run.config), indent=2, default=str))

    def step(self, step: StepRecord) -> None:
        """Write the numbers of a step under STAGE/NAME: losses of two stages are not one curve."""
        values = [
            self._summaries.Summary.Value(tag=f"{step.stage}/{name}", simple_value=value)
            for name, value in step.numbers().items()
        ]
        if self._resumed and step.variant not in self._files:
            # What another process wrote of later steps is told anew: TensorBoard drops it.
            start = self._events.SessionLog(status=self._events.SessionLog.START)
            self._file(step.variant).write(self._event(step.global_step, session_log=start))
        self._write(step.variant, step.global_step, values)

    def results(self, what: str, numbers: Mapping[str, Mapping[str, float]]) -> None:
        """Write metrics as points behind the last step, a run of its own for each model."""
        for model, metrics in numbers.items():
            values = [
                self._summaries.Summary.Value(tag=f"{what}/{name}", simple_value=value)
                for name, value in metrics.items()
            ]
            self._write(model, self._end(model), values)

    def picture(self, name: str, path: Path) -> None:
        """Write a picture as it is."""
        content = path.read_bytes()
        wide, high = struct.unpack(">II", content[16:24])  # the head of every PNG
        image = self._summaries.Summary.Image(height=high, width=wide, colorspace=3, encoded_image_string=content)
        value = self._summaries.Summary.Value(tag=name, image=image)
        self._write("student", self._end("student"), [value])

    def end(self, state: str, message: str) -> None:
        """Write down how the run ended, and close."""
        self._text("student", "state", f"{state}: {message}" if message else state, self._end("student"))
        for file in self._files.values():
            file.close()

    def _end(self, model: str) -> int:
        return self._steps.get(model, max(self._steps.values(), default=0))

    def _text(self, variant: str, tag: str, text: str, step: int = 0) -> None:
        summary = self._summaries
        shown = "\n".join(f"    {line}" for line in text.splitlines())  # Markdown, of code
        data = summary.SummaryMetadata.PluginData(plugin_name="text")
        tensor = self._tensors.TensorProto(
            dtype=self._types.DT_STRING, string_val=[shown.encode("utf-8", "backslashreplace")]
        )
        value = summary.Summary.Value(tag=tag, metadata=summary.SummaryMetadata(plugin_data=data), tensor=tensor)
        self._write(variant, step, [value])

    def _write(self, variant: str, step: int, values: list[Any]) -> None:
        self._file(variant).write(self._event(step, summary=self._summaries.Summary(value=values)))

    def _file(self, variant: str) -> _EventFile:
        if variant not in self._files:
            self._files[variant] = _EventFile(self._run / variant, self._writing.RecordWriter)
            self._files[variant].write(self._event(0, file_version="brain.Event:2"))
        return self._files[variant]

    def _event(self, step: int, **content: Any) -> bytes:
        made: bytes = self._events.Event(wall_time=time.time(), step=step, **content).SerializeToString()
        return made


class _EventFile:
    """One file of records, each there for readers once it is written."""

    def __init__(self, folder: Path, writer: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{time.monotonic_ns()}"
        self._stream: BinaryIO = (folder / stem).open("xb")
        self._writer = writer(self._stream)

    def write(self, record: bytes) -> None:
        self._writer.write(record)
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()
