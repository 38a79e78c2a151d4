"""Files that would do harm if anything in them were made or run."""

from __future__ import annotations

import contextlib
import copyreg
import io
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kdcli.errors import WeightsError
from kdcli.weights import convert, load_state
from kdcli.weights.inert import Inert, InertUnpickler
from kdcli.weights.modules import find
from kdcli.weights.torch_file import TorchFile

WATCHED = frozenset({
    "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "pickle.find_class", "exec", "compile",
    "import", "socket.connect", "ctypes.dlopen",
})

seen: list[str] | None = None


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if seen is not None and event in WATCHED:
        seen.append(f"{event} {args[:1]}")


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """Collect what the interpreter does that a reader of weights has no business to do."""
    global seen
    if not getattr(watched, "installed", False):
        sys.addaudithook(_hook)
        watched.installed = True  # type: ignore[attr-defined]
    seen = events = []
    try:
        yield events
    finally:
        seen = None


TRAP = """
import pathlib
(pathlib.Path(__file__).parent / "sprung").touch()

class Setter:
    def __setstate__(self, state):
        (pathlib.Path(__file__).parent / "sprung").touch()

def setter(self, state):
    (pathlib.Path(__file__).parent / "sprung").touch()
"""


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that could be imported, and the file that is there afterwards if it was, or if a command was run."""
    (tmp_path / "trap_of_weights.py").write_text(TRAP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "sprung"


def _short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


def _stack(module: str, name: str) -> bytes:
    return _short(module) + _short(name) + b"\x93"


SHELL = _short("touch sprung")
PYTHON = _short("open('sprung', 'w').close()")
TENSOR = (b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
          b"X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89}tR")


NESTED = b"\x80\x02cos\nsystem\n" + SHELL + b"\x85R."
EVIL = {
    "os.system": b"cos\nsystem\n" + SHELL + b"\x85R",
    "posix": b"cposix\nsystem\n" + SHELL + b"\x85R",
    "eval": b"cbuiltins\neval\n" + PYTHON + b"\x85R",
    "python 2 eval": b"c__builtin__\neval\n" + PYTHON + b"\x85R",
    "exec": b"cbuiltins\nexec\n" + PYTHON + b"\x85R",
    "popen": b"csubprocess\nPopen\n](" + b"X\x05\x00\x00\x00touchX\x06\x00\x00\x00sprung" + b"e\x85R",
    "inst": b"(" + SHELL + b"ios\nsystem\n",
    "obj": b"(cos\nsystem\n" + SHELL + b"o",
    "newobj": b"csubprocess\nPopen\n" + SHELL + b"\x85\x81",
    "newobj_ex": b"csubprocess\nPopen\n" + SHELL + b"\x85}" + _short("shell") + b"\x88s\x92",
    "dotted": _stack("torch", "os.system") + SHELL + b"\x85R",
    "dotted deep": _stack("torch._utils", "_rebuild_tensor_v2.__globals__") + b"0" + _stack("torch", "sys.modules"),
    "getattr": b"cbuiltins\ngetattr\n" + b"cbuiltins\n__import__\n" + _short("os") + b"\x85R" + _short("system")
               + b"\x86R" + SHELL + b"\x85R",
    "apply": b"coperator\nmethodcaller\n" + _short("system") + SHELL + b"\x86R" + b"cos\n__dict__\n\x85R",
    "imports": b"ctrap_of_weights\nanything\n",
    "setstate": b"ctrap_of_weights\nSetter\n)\x81}" + _short("a") + b"K\x01sb",
    "state setter": b"ctrap_of_weights\nsetter\n" + b"ctrap_of_weights\nSetter\n)\x81" + b"}\x86R",
    "build on a class": b"ctorch._utils\n_rebuild_tensor_v2\nN}" + _short("__call__") + b"cos\nsystem\ns\x86b",
    "nested load": b"ctorch.storage\n_load_from_bytes\nC" + bytes([len(NESTED)]) + NESTED + b"\x85R",
    "torch.load": b"ctorch\nload\n" + SHELL + b"\x85R",
    "rebuild from type": b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nctorch\nTensor\n" + SHELL + b"\x85}tR",
    "rebuild parameter": b"ctorch._utils\n_rebuild_parameter\n(cos\nsystem\n" + SHELL + b"\x85R\x88}tR",
    "rebuild tensor": b"ctorch._utils\n_rebuild_tensor_v2\n(cos\nsystem\n" + SHELL + b"\x85RK\x00)))tR",
    "reconstructor": b"ccopy_reg\n_reconstructor\n(csubprocess\nPopen\ncbuiltins\nobject\n" + SHELL + b"tR}b",
    "ordered dict": b"ccollections\nOrderedDict\n]]" + b"cos\nsystem\n" + SHELL + b"\x85RaK\x01aa\x85R",
    "persistent": b"(" + _short("module") + b"csubprocess\nPopen\n" + SHELL + SHELL + b"tQ" + SHELL + b"\x85R",
    "persistent storage": b"(" + _short("storage") + b"cos\nsystem\n" + SHELL + b"\x85R" + _short("0") + _short("cpu")
                          + b"K\x02tQ",
    "fills": b"ctrap_of_weights\nSetter\n)\x81(" + SHELL + b"e" + b"(K\x01K\x02u(K\x01\x90",
}


def _zip(body: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("net/data.pkl", body)
        archive.writestr("net/byteorder", sys.byteorder)
        archive.writestr("net/data/0", struct.pack("<2f", 1, 2))
        archive.writestr("net/version", "3\n")
    return stream.getvalue()


def _legacy(body: bytes) -> bytes:
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    return head + body + pickle.dumps(["0"], 2) + struct.pack("<q2f", 2, 1, 2)


def _body(evil: bytes) -> bytes:
    """A document with a tensor, then the evil, under keys of a dictionary."""
    return b"\x80\x04}(" + _short("model") + b"}" + _short("w") + TENSOR + b"s" + _short("evil") + evil + b"u."


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let everything be imported that reading imports, so that what is seen later is the file's doing."""
    file = tmp_path_factory.mktemp("warm") / "x"
    for content in (_zip(_body(b"cno\nsuch\n")), _legacy(_body(b"cno\nsuch\n")), _zip(b"junk")):
        file.write_bytes(content)
        with contextlib.suppress(WeightsError):
            convert(file)


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("layout", [_zip, _legacy], ids=["zip", "legacy"])
def test_nothing_is_run(name: str, layout: Any, trap: Path) -> None:
    file = trap.with_name("evil.pt")
    file.write_bytes(layout(_body(EVIL[name])))
    with watched() as events, contextlib.suppress(WeightsError):
        made = convert(file)
        assert load_state(made.path)["w"].tolist() == [1.0, 2.0]
    assert not trap.exists() and events == []
    assert "trap_of_weights" not in sys.modules


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("layout", [_zip, _legacy], ids=["zip", "legacy"])
def test_loading_runs_nothing_either(name: str, layout: Any, trap: Path) -> None:
    file = trap.with_name("evil.pt")
    file.write_bytes(layout(_body(EVIL[name])))
    before = sorted(trap.parent.iterdir())
    with watched() as events, pytest.raises(WeightsError) as caught:
        load_state(file)
    assert "could run code" in str(caught.value) or "damaged" in str(caught.value)
    assert not trap.exists() and events == [] and sorted(trap.parent.iterdir()) == before


def test_names_that_loading_takes_make_nothing_of_a_strangers() -> None:
    """What it takes is torch's and Python's own for tensors and containers, by full name."""
    taken = ("collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch.FloatStorage", "torch.float8_e5m2",
             "torch.cuda.HalfStorage", "torch.Size", "builtins.set", "torch.nn.parameter.Parameter")
    others = ("os.system", "builtins.eval", "builtins.getattr", "torch.load", "torch._utils.os",
              "numpy.core.multiarray.scalar", "torch.storage._load_from_bytes",
              "torch.hub.load", "torch.FloatStorage.__init__", "collections.abc",
              "torch._utils._rebuild_tensor_v2.__globals__", "torchx._utils._rebuild_tensor", "a\nbuiltins.set")
    unpickler = InertUnpickler(io.BytesIO())
    for name in (*taken, *others):
        unpickler.find_class(*name.rsplit(".", 1))
    assert unpickler.foreign == list(others)


def test_most_of_them_give_their_tensors_all_the_same(trap: Path) -> None:
    """So the test above does not pass because the files were damaged."""
    failed = []
    for name, evil in EVIL.items():
        file = trap.with_name("evil.pt")
        file.write_bytes(_zip(_body(evil)))
        try:
            assert load_state(convert(file).path)["w"].tolist() == [1.0, 2.0]
        except WeightsError:
            failed.append(name)
    assert set(failed) <= {"build on a class"}


def test_the_same_files_do_harm_to_others(trap: Path) -> None:
    """The names are real: an ordinary unpickler is sprung by them."""
    for name in ("os.system", "eval", "setstate", "imports", "inst", "getattr"):
        trap.unlink(missing_ok=True)
        sys.modules.pop("trap_of_weights", None)
        with contextlib.suppress(Exception):
            pickle.loads(b"\x80\x04" + EVIL[name] + b".")
        assert trap.exists(), name
    sys.modules.pop("trap_of_weights", None)


def test_classes_by_number(trap: Path) -> None:
    """A number that this process has resolved before is not taken from its cache."""
    copyreg.add_extension("os", "system", 240)
    try:
        assert pickle.loads(b"\x80\x02\x82\xf0.") is os.system
        trap.with_name("evil.pt").write_bytes(_zip(_body(b"\x82\xf0" + SHELL + b"\x85R")))
        with watched() as events:
            convert(trap.with_name("evil.pt"))
        assert not trap.exists() and events == []
        unpickled = InertUnpickler(io.BytesIO(b"\x80\x02\x82\xf0.")).load()
        assert issubclass(unpickled, Inert) and unpickled.origin == "os.system"
    finally:
        copyreg.remove_extension("os", "system", 240)


def test_every_name_is_a_stand_in() -> None:
    for module, name in (("os", "system"), ("builtins", "object"), ("torch._utils", "_rebuild_tensor_v2"), ("a\0", "")):
        found = InertUnpickler(io.BytesIO()).find_class(module, name)
        assert issubclass(found, Inert) and found is not Inert


def test_sizes_that_would_fill_the_memory(trap: Path) -> None:
    file = trap.with_name("bomb.pt")
    huge = TENSOR.replace(b"K\x02\x85K\x01\x85\x89", b"\x8a\x06\0\0\0\0\0\x01\x85K\x00\x85\x89")
    outside = TENSOR.replace(b"K\x00K\x02\x85", b"K\x01K\x02\x85")
    negative = TENSOR.replace(b"K\x00K\x02\x85", b"J\xff\xff\xff\xffK\x02\x85")
    larger = TENSOR.replace(b"cpuK\x02", b"cpuJ\0\0\0\x7f")
    nested = b"ctorch._utils\n_rebuild_parameter\n" * 5000 + TENSOR + b"\x88}\x87R" * 5000
    for tensor in (huge, outside, negative, larger, nested):
        body = b"\x80\x04}(" + _short("model") + b"}" + _short("w") + tensor + b"s" + _short("x") + b"ca\nb\nu."
        for content in (_zip(body), _legacy(body)):
            file.write_bytes(content)
            with pytest.raises(WeightsError) as caught:
                convert(file)
            assert "\n" not in str(caught.value)


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(trap: Path) -> None:
    file = trap.with_name("bomb.pt")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", _body(b"ca\nb\n"))
        archive.writestr("net/data/0", b"\0" * 1_000_000)
    with pytest.raises(WeightsError, match="damaged"):
        convert(file)


def test_modules_that_multiply_are_refused(trap: Path) -> None:
    """Each of forty modules holds the next one twice: 2 ** 40 names."""
    slots = _short("_parameters") + b"}" + _short("w") + TENSOR + b"s" + _short("_modules")
    body = b"\x80\x04ca\nNet\n)\x81}(" + slots + b"}ub\x94"
    for level in range(40):
        twice = b"}(" + _short("a") + b"h" + bytes([level]) + _short("b") + b"h" + bytes([level]) + b"u"
        body += b"ca\nNet\n)\x81}(" + slots + twice + b"ub\x94"
    file = trap.with_name("many.pt")
    file.write_bytes(_zip(body + b"."))
    with TorchFile(file) as opened, pytest.raises(WeightsError, match="without end"):
        find(opened.document)


def test_what_torch_itself_writes_needs_no_other_names(tmp_path: Path) -> None:
    torch.save({"model": torch.nn.Linear(2, 1)}, tmp_path / "x.pt")
    with watched() as events:
        convert(tmp_path / "x.pt")
    assert events == []
