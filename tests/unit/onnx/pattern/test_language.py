"""What the text of a pattern means, and where an unreadable one is wrong."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tensorwright.errors import ModelError
from tensorwright.onnx.pattern.language import parse
from tensorwright.onnx.pattern.terms import Call, Either, Literal, Operand


def only(text: str) -> object:
    return parse(text).statements[0].term


def test_forms() -> None:
    conv = only("Conv(x, w: const float32 [64, _, 3, 3], ?b, group=1, auto_pad='VALID'|\"NOTSET\", axis=k)")
    assert isinstance(conv, Call) and conv.ops == (("", "Conv"),) and not conv.rest
    assert [o.name for o in conv.operands] == ["x", "w", "b"] and conv.operands[2].optional
    kind = conv.operands[1].kind
    assert kind.const and kind.dtype.name == "FLOAT" and kind.shape == (64, None, 3, 3)
    assert [(c.name, c.relation) for c in conv.conditions] == [("group", "="), ("auto_pad", "="), ("axis", "=")]
    assert conv.conditions[1].values == ("VALID", "NOTSET")
    assert only("Concat(x, ...)").rest and only("Relu").rest and only("*(x)").ops == ()
    assert only("com.x::Op(x)").ops == (("com.x", "Op"),) and only("nms(x)").ops == (("", "nms"),)
    assert only("Relu|LeakyRelu(x)").ops == (("", "Relu"), ("", "LeakyRelu"))
    assert isinstance(only("(Relu(x) | x)"), Either) and isinstance(only("[1, -2.5]"), Literal)
    assert only('"/layer.1/out"') == Operand("/layer.1/out", exact=True) and only("_").name is None


def test_chains_and_lines() -> None:
    chain = only("x -> Conv(w) -> Relu\n  -> MaxPool(kernel_shape=[2, 2])")
    assert str(chain) == "MaxPool" and str(chain.operands[0]) == "Relu" and chain.operands[0].rest
    assert [o.name for o in chain.operands[0].operands[0].operands] == ["x", "w"]
    lines = parse("h = Conv(x, w)  # a comment\n\na, b = Split(h); _ = Relu(a)\n")
    assert [s.results for s in lines.statements] == [("h",), ("a", "b"), ("_",)]
    assert lines.results == ("b", "_")


@pytest.mark.parametrize("text,what,place", [
    ("Relu(x", "')' is missing before 'the end'", 6), ("Relu(x) Relu", "cannot follow", 8),
    ("Relu(", "operand is missing", 5),
    ("Relu(x, group=)", "a number is missing", 14), ("Relu(x: tiny)", "'tiny' is neither", 8),
    ("Relu(x, %)", "not a part", 8),
    ("x -> y", "an operator follows", 5), ("Relu(group=1, x)", "operands come before", 14),
    ("?(x)", "a name follows", 1),
    ("Relu(x: [a])", "sizes are numbers", 10), ("a, a = Split(x)", "named twice", 7),
    ("Relu(x:)", "a kind follows", 7)])
def test_errors_point_at_the_place(text: str, what: str, place: int) -> None:
    with pytest.raises(ModelError) as caught:
        parse(text)
    assert what in caught.value.what and caught.value.facts["here"].index("^") == place, str(caught.value)


@pytest.mark.parametrize("text", ["", "  # nothing", "(" * 60 + "x" + ")" * 60, "y = Relu(x)\ny = Relu(x)", 5])
def test_not_patterns(text: object) -> None:
    with pytest.raises(ModelError):
        parse(text)  # type: ignore[arg-type]


@example("1:[")
@example("Relu(x, **")
@example("Relu(x, " + "9" * 5000 + ")")
@given(st.text(st.sampled_from("Relu(x,y)=|->?_[]:1.5 \n;\"'*#constAdd"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except ModelError as error:
        assert error.what
