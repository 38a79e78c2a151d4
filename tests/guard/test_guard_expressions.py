from __future__ import annotations

import pytest

from kdcli.guard.expressions import LONGEST, plain_condition, plain_expression

S0, S1 = "Symbol('s0', positive=True, integer=True)", "Symbol('s77', positive=True, integer=True)"


@pytest.mark.parametrize(
    "text",
    [
        S0,
        f"Mul(Integer(2), Max(Integer(1), FloorDiv(Add({S0}, Integer(-1)), Integer(32))))",
        f"Pow({S0}, Integer(2))",
        f"IntTrueDiv(Integer(2), FloorDiv(Add({S0}, {S1}), Integer(4)))",
        "Eq(Mod(s0, 32), 0)", "s0*s1 - 1", "Float('0.5', precision=53)", "-oo", "zf0 + u3",
    ],
)  # fmt: skip
def test_arithmetic_of_sizes_passes_as_it_is(text: str) -> None:
    plain = plain_expression(text)
    assert plain is not None and plain.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "s0)", "exec", "print(s0)", "s0.__class__", "s0.free_symbols", "().__class__", "(lambda: 1)()", "[s0]",
        "Symbol('x')", "Symbol('s0', positive=print)", "Symbol(*s0)", "Symbol(**s0)", "Integer('1')", "Add(s0, key=1)",
        "Function('f')(s0)", "sympify('s0')", "Symbol('s0', commutative=False)", "f's0'", "s0 if s0 else s1", "s0 := 1",
        "Float('__import__', precision=53)", "Pow(2, s0)", "9**9**9", "Pow(Pow(9, 8), 8)", "(9**8)**8", "9**9",
        "1j", "1e999",
        "s0 @ s1", "s0 << 9", "s0; s1", "s0\ns1", "s0 # note", "1" * 5000, "s0 in s1", "s0 is s1", "...",
        "None", "'s0'",
        "(" * 5000, "-" * 5000 + "1", "+".join(["s0"] * LONGEST), "\uff53" "0",
    ],
)  # fmt: skip
def test_anything_else_does_not(text: str) -> None:
    assert plain_expression(text) in (None, "s0" if text == "s0 # note" else None)


@pytest.mark.parametrize(
    "text",
    [
        "L['image'].size()[2] >= 2",
        "(1 + (-1 + torch.sym_max(1, (4 + L['image'].size()[3]) // 8)) // 2) * 2 != 1",
        "L['image'].size()[2] % 32 == 0 and not L['image'].size()[0] == 3",
        "L['image'].stride()[1] == L['image'].size()[2] * L['image'].size()[3]",
        "L['args'][0].size()[2] > 4",
    ],
)
def test_conditions_on_the_size_pass(text: str) -> None:
    plain = plain_condition(text)
    assert plain is not None
    assert plain.translate({ord(c): None for c in "( )"}) == text.translate({ord(c): None for c in "( )"})


@pytest.mark.parametrize(
    "text",
    [
        "L", "L['image']", "L['image'].data", "L['image'].size().__class__", "L['image'].size(print())[0]",
        "torch.load",
        "torch.load(1)", "L[print(1)].size()[0]", "L['image'].size()[print(1)]", "L['a\"'].size()[0] > 1", "print(1)",
        "L['image'].save()[0]", "L['image'].size()[-1] > 2", "math.factorial(9)", "[x for x in (1,)]",
        "1 > 0; 2 > 1", "1, 2",
        "L['image'].size()[2] ** 99999 > 1", "(yield)", "await x", "G['x'].size()[0] > 1",
    ],
)  # fmt: skip
def test_other_conditions_do_not(text: str) -> None:
    assert plain_condition(text) is None
