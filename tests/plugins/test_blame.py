"""Errors that come out of plugins name them, whatever their class; the user's Ctrl-C stays one."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch

from kdcli import interrupts
from kdcli.errors import ConfigError, DataError, KdcliError, PluginError
from kdcli.plugins.blame import blame, is_interrupt, own, owner_of
from kdcli.plugins.plugin import Plugin

THEIRS = Plugin(kind="loss", name="odd", distribution="odd-losses", version="2.1", value="odd:Loss")
OTHERS = Plugin(kind="teacher", name="wise", distribution="teachers", version="1.0", value="wise:Net")
OURS = Plugin(kind="loss", name="l1", distribution="kdcli", version="0.1", value="kdcli.losses.pointwise:L1")


class Thing:
    pass


class OfItsOwn(BaseException):
    pass


class Success(KdcliError):
    exit_code = 0


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


FOREIGN = (ValueError("no luck"), SystemExit(0), SystemExit(None), KeyboardInterrupt(), GeneratorExit(),
           asyncio.CancelledError(), OfItsOwn("mine"), StopIteration(), BrokenPipeError(),
           Success("all is well"), Mute())


def run(thing: object, error: BaseException, doing: str = "terms") -> None:
    with blame(thing, doing):
        raise error


@pytest.fixture(autouse=True)
def nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_seen", False)


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_whatever_a_plugin_raises_is_a_plugin_error_with_its_name(error: BaseException) -> None:
    thing = Thing()
    own(thing, THEIRS)
    with pytest.raises(PluginError, match=r"^loss 'odd' of odd-losses 2\.1 failed in terms: ") as caught:
        run(thing, error)
    assert type(error).__name__ in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    assert caught.value.__cause__ is error


def test_errors_of_kdcli_keep_their_class_and_get_the_name_of_the_innermost_plugin() -> None:
    error = DataError("image 'a.png' is broken; replace it")
    with pytest.raises(DataError) as caught, blame(OTHERS, "forward"), blame(THEIRS, "terms"):
        raise error
    assert caught.value is error
    assert str(error) == "image 'a.png' is broken; replace it (loss 'odd' of odd-losses 2.1)"


def test_a_plugin_error_is_not_told_twice() -> None:
    with pytest.raises(PluginError) as caught, blame(OTHERS, "forward"), blame(THEIRS, "terms"):
        raise ValueError("inside")
    assert str(caught.value) == (
        "loss 'odd' of odd-losses 2.1 failed in terms: ValueError: inside; report it to its author"
    )


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
                                   RuntimeError("DefaultCPUAllocator: can't allocate memory")], ids=str)
def test_a_lack_of_memory_is_nobodys_fault(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        run(THEIRS, error)
    assert caught.value is error


@pytest.mark.parametrize("thing", [OURS, Thing(), None, 3])
def test_what_is_kdclis_own_or_nobodys_passes_as_it_is(thing: object) -> None:
    for error in (ValueError("a bug"), ConfigError("wrong"), SystemExit(2)):
        with pytest.raises(type(error)) as caught:
            run(thing, error)
        assert caught.value is error
    assert str(caught.value) == "2"


def test_success_costs_nothing_and_returns_values() -> None:
    with blame(THEIRS, "terms"):
        value = 3
    assert value == 3


def test_objects_are_remembered_while_they_live() -> None:
    class Slotted:
        __slots__ = ()

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

    for make in (Thing, Slotted, Unhashable, torch.nn.Identity):
        thing, other = make(), make()
        own(thing, THEIRS)
        assert owner_of(thing) is THEIRS
        assert owner_of(other) is None
    thing = Thing()
    own(thing, THEIRS)
    del thing
    gc.collect()
    assert all(owner_of(new) is None for new in [Thing() for _ in range(1000)])


def test_ctrl_c_is_the_users_wherever_it_comes() -> None:
    """Python's own handler, in the middle of foreign code: no flag is set, and there is no ``raise``."""
    def busy() -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), blame(THEIRS, "terms"):
            busy()
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_a_handler_noted_makes_every_interrupt_the_users() -> None:
    interrupts.note()
    assert interrupts.asked()
    with pytest.raises(KeyboardInterrupt):
        run(THEIRS, KeyboardInterrupt())


def test_only_keyboard_interrupts_are_interrupts() -> None:
    interrupts.note()
    assert not is_interrupt(SystemExit(130))


@pytest.fixture
def raiser() -> Iterator[Callable[[], None]]:
    """A stand-in for a plugin's method that catches an interrupt and raises it again."""
    def again() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise

    yield again


def test_an_interrupt_that_a_plugin_raises_again_is_still_its_own(raiser: Callable[[], None]) -> None:
    with pytest.raises(PluginError, match="KeyboardInterrupt"), blame(THEIRS, "forward"):
        raiser()


def test_the_guard_imports_nothing_heavy() -> None:
    code = "import sys; import kdcli.plugins.blame; assert not {'torch', 'numpy', 'rich'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
