from __future__ import annotations

from typing import Any, Literal

import pytest

from kdcli.errors import SpecError
from kdcli.spec import Spec, bind, convert, keys, parse, parse_size


@pytest.mark.parametrize(
    ("text", "name", "location", "options"),
    [
        ("none", "none", None, {}),
        ("object,probability=0.5", "object", None, {"probability": "0.5"}),
        ("nyu:/data/nyu,split=test", "nyu", "/data/nyu", {"split": "test"}),
        ("folder:C:\\images,x", "folder", "C:\\images,x", {}),
        ("rgbd:/a,b/c:d,scale=1000", "rgbd", "/a,b/c:d", {"scale": "1000"}),
        ("sim:rooms,count=8,seed=1", "sim", "rooms", {"count": "8", "seed": "1"}),
        ("x,list=a=b", "x", None, {"list": "a=b"}),
        ("x,key=", "x", None, {"key": ""}),
        ("x,min-depth=1", "x", None, {"min_depth": "1"}),
        ("pkg:net:/w", "pkg", "net:/w", {}),
        ("x:", "x", "", {}),
    ],
)
def test_parse(text: str, name: str, location: str | None, options: dict[str, str]) -> None:
    spec = parse(text)
    assert (spec.name, spec.location, dict(spec.options)) == (name, location, options)
    assert parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not start with a plugin name"), (":/data", "does not start"), ("-x", "does not start"),
        ("a b", "does not start"), ("x,a=1,b", "'b' in 'x,a=1,b' is not key=value"),
        ("x,a=1,a=2", "key 'a' is given twice"), ("x,a-b=1,a_b=2", "given twice"),
    ],
)
def test_what_does_not_parse(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        parse(text)


def factory(location: str, *, width: float = 1.0, deep: bool = False, head: Literal["a", "b"] = "a",
            bins: int | None = 3, name: str = "n") -> dict[str, Any]:
    return {"location": location, "width": width, "deep": deep, "head": head, "bins": bins, "name": name}


def bound(text: str) -> dict[str, Any]:
    return bind(parse(text), factory)


def test_bind_converts_by_annotation() -> None:
    assert bound("f:/w,width=0.5,deep=yes,head=b,bins=none,name=7") == {
        "location": "/w", "width": 0.5, "deep": True, "head": "b", "bins": None, "name": "7",
    }
    assert bound("f:/w,bins=4,deep=off") == {"location": "/w", "bins": 4, "deep": False}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("f:/w,widht=1", "no key 'widht'. Did you mean 'width'.*Keys: width, deep, head, bins, name"),
        ("f:/w,width=big", "'f,width=big' is not a number"), ("f:/w,bins=1.5", "not a whole number"),
        ("f:/w,deep=maybe", "not true or false"), ("f:/w,head=c", "not one of a, b"),
        ("f", "lacks location; write 'f:LOCATION'"), ("f:/w,location=/x", "no key 'location'"),
    ],
)
def test_what_does_not_bind(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        bound(text)


def test_a_location_where_none_is_taken() -> None:
    def bare(*, size: int) -> int:
        return size

    with pytest.raises(SpecError, match="takes no location"):
        bind(parse("bare:/x,size=1"), bare)
    with pytest.raises(SpecError, match=r"lacks size; write 'bare,size=\.\.\.'"):
        bind(parse("bare"), bare)


def test_a_factory_that_takes_anything_gets_text() -> None:
    def anything(**options: str) -> dict[str, str]:
        return options

    assert bind(parse("x,a=1"), anything) == {"a": "1"}
    assert keys(anything) == {}


def test_bind_sees_the_constructor_of_a_class() -> None:
    class Thing:
        def __init__(self, *, size: int = 1) -> None:
            self.size = size

    assert bind(Spec(name="t", options={"size": "5"}), Thing) == {"size": 5}


def test_annotations_that_cannot_be_resolved_are_read_as_far_as_they_go() -> None:
    def later(*, size: int = 1, other: NotDefinedAnywhere = None) -> None:  # noqa: F821
        ...

    assert bind(parse("x,size=2,other=t"), later) == {"size": 2, "other": "t"}


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [("1", int, 1), ("1e-3", float, 0.001), ("TRUE", bool, True), ("0", bool, False), ("2", int | str, 2),
     ("two", int | str, "two"), ("None", float | None, None), ("3", Literal[3, 4], 3)],
)
def test_convert(text: str, kind: Any, value: Any) -> None:
    found = convert(text, kind, "x,k")
    assert found == value
    assert type(found) is type(value)


def test_sizes() -> None:
    assert parse_size("96x128") == (96, 128)
    assert parse_size("96X128") == (96, 128)
    for text in ("96", "0x5", "-1x5", "axb", "96x128x3", ""):
        with pytest.raises(SpecError, match="write for example 96x128"):
            parse_size(text)
