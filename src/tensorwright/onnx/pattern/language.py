"""The text form of patterns.

    y = Relu(Conv(x, w: const, ?b, group=1))       nested calls; names stand for tensors
    Conv(x, w, ?b) -> Relu                         the same as a chain: each step's first operand is the one before

    x                a tensor; the same name is the same tensor everywhere
    _                any tensor                     ?b, ?_    a tensor, or none
    "layer1/out"     the tensor that has this name in the model
    ...              any further operands           Relu      an operator's bare name: with any operands
    x: const         a constant. Other kinds: scalar (a constant of one element), input (of the graph), an element
                     type (float16), a shape ([1, _, 3, 3]); several may follow each other: w: const float32 [_, 3]
    0.5, [1, -1]     a constant with this value; a number: of one element
    (A(x) | B(x))    either;  Relu|Sigmoid(x) for operators
    group=1          a condition on an attribute, its default included: = != < <= > >=, values 1, 0.5, "SAME_UPPER",
                     [1, 1]; several, 1|2; _ any. A name takes the value: axis=k, and k is k wherever it stands again
    com.x::Op(x)     an operator of another domain; *(x, ...) any operator
    h = Conv(x, w)   lines (or ;) name results, which other lines read: a, b = Split(x)
    # to the end of the line is a comment

In replacements the same form builds: names are what the pattern found, constants are made, `**h` copies the attributes
of the node that made h, ?b is left out where b was.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ...errors import ModelError
from ..structure.schema import element_type, operators
from .terms import ANY, Call, Capture, Condition, Either, Kind, Literal, Operand, Pattern, Statement, Term

TOKEN = re.compile(r"""
    (?P<space>[ \t\r]+|\#[^\n]*|\\\n) | (?P<newline>[\n;]+) | (?P<arrow>->)
  | (?P<number>[-+]?(?:inf\b|nan\b|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))
  | (?P<word>(?:[A-Za-z_][\w.\-]*::)?[A-Za-z_]\w*) | (?P<string>"[^"\n]*"|'[^'\n]*')
  | (?P<rest>\.\.\.) | (?P<relation>!=|<=|>=|=|<|>) | (?P<copy>\*\*) | (?P<sign>[()\[\],:|?*])""", re.VERBOSE)
KINDS = ("const", "scalar", "input")
#: Nested terms at most: deeper ones are not patterns.
DEEPEST = 50


@dataclass
class Reader:
    """Recursive descent over the tokens of one text."""

    text: str
    tokens: list[tuple[str, str, int]] = field(default_factory=list)
    at: int = 0
    depth: int = 0

    def __post_init__(self) -> None:
        place = brackets = 0
        while place < len(self.text):
            match = TOKEN.match(self.text, place)
            if match is None:
                self.fail("not a part of the language", place)
            kind, word = str(match.lastgroup), match[0]
            brackets += (word in "([") - (word in ")]") if kind == "sign" else 0
            if kind != "space" and not (kind == "newline" and (brackets > 0 or self.continued(match.end()))):
                self.tokens.append((kind, word, place))
            place = match.end()
        self.tokens.append(("end", "", place))

    def continued(self, place: int) -> bool:
        """A line that begins with an arrow goes on with the one before."""
        return bool(re.match(r"\s*->", self.text[place:])) or bool(self.tokens and self.tokens[-1][0] == "arrow")

    def fail(self, what: str, place: int | None = None) -> NoReturn:
        place = self.tokens[self.at][2] if place is None else place
        line = self.text[: place].rsplit("\n", 1)[-1]
        shown = line + self.text[place:].split("\n", 1)[0]
        raise ModelError(f"the pattern cannot be read: {what}", pattern=shown, here=" " * len(line) + "^",
                         try_="docs/onnx_toolkit.md describes the language")

    def peek(self, offset: int = 0) -> tuple[str, str]:
        return self.tokens[min(self.at + offset, len(self.tokens) - 1)][:2]

    def take(self) -> str:
        """The next word; the end is not passed."""
        word = self.peek()[1]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return word

    def accept(self, word: str) -> bool:
        if self.peek()[1] == word and self.peek()[0] not in ("string", "end"):
            self.at += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.accept(word):
            found = self.peek()[1].replace("\n", "end of line") or "the end"
            self.fail(f"{word!r} is missing before {found!r}")

    # grammar ---------------------------------------------------------------------------------------------------------
    def statements(self) -> Iterator[Statement]:
        while self.peek()[0] != "end":
            if self.peek()[0] == "newline":
                self.take()
                continue
            yield Statement(self.results(), self.chain())
            if self.peek()[0] not in ("newline", "end"):
                self.fail(f"{self.peek()[1]!r} cannot follow here")

    def results(self) -> tuple[str, ...]:
        """a, b = ...: names before an equals sign."""
        ahead = 0
        while self.peek(ahead)[0] == "word" and self.peek(ahead + 1)[1] == ",":
            ahead += 2
        if self.peek(ahead)[0] != "word" or self.peek(ahead + 1)[1] != "=":
            return ()
        names = tuple(self.take() for k in range(ahead + 2))[0::2]
        if len(set(names) - {"_"}) != len([n for n in names if n != "_"]):
            self.fail("a result is named twice")
        return names

    def chain(self) -> Term:
        term = self.term()
        while self.peek()[0] == "arrow":
            self.take()
            ops = self.operator()
            if ops is None:
                self.fail("an operator follows an arrow")
            term = self.call(ops, (term,))
        return term

    def term(self) -> Term:
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"nested more than {DEEPEST} deep")
        try:
            return self.single()
        finally:
            self.depth -= 1

    def single(self) -> Term:
        kind, word = self.peek()
        if self.accept("("):
            options = [self.chain()]
            while self.accept("|"):
                options.append(self.chain())
            self.expect(")")
            return options[0] if len(options) == 1 else Either(tuple(options))
        if self.accept("?"):
            if self.peek()[0] != "word":
                self.fail("a name follows ?")
            name = self.take()
            return Operand(None if name == "_" else name, True, self.kind())
        if kind == "number" or word == "[":
            return Literal(self.value(), self.kind().dtype)
        ops = self.operator()
        if ops is not None:
            return self.call(ops, ())
        if kind == "word":
            name = self.take()
            return Operand(None if name == "_" else name, False, self.kind())
        if kind == "string":                             # a tensor's own name, which need not be a word
            return Operand(self.take()[1:-1], False, self.kind(), exact=True)
        return self.fail(f"an operand is missing before {word!r}" if kind != "end" else "an operand is missing")

    def operator(self) -> tuple[tuple[str, str], ...] | None:
        """Relu, Relu|Sigmoid, com.x::Op, *: when that is what comes next."""
        if self.peek()[1] == "*" and self.peek()[0] == "sign":
            self.take()
            return ()
        if self.peek()[0] != "word" or not (is_operator(self.peek()[1]) or self.peek(1)[1] == "("):
            return None
        ahead = 0
        while self.peek(ahead + 1)[1] == "|" and self.peek(ahead + 2)[0] == "word" and \
                is_operator(self.peek(ahead + 2)[1]):
            ahead += 2
        found = [self.take() for _ in range(ahead + 1)][0::2]
        return tuple((name.rpartition("::")[0], name.rpartition("::")[2]) for name in found)

    def call(self, ops: tuple[tuple[str, str], ...], first: tuple[Term, ...]) -> Call:
        if not self.accept("("):
            return Call(ops, first, rest=True)
        operands: list[Term] = list(first)
        conditions: list[Condition] = []
        copied: list[str] = []
        rest = False
        while not self.accept(")"):
            if self.peek()[0] == "rest":
                self.take()
                rest = True
            elif self.accept("**"):
                if self.peek()[0] != "word":
                    self.fail("a name follows **")
                copied.append(self.take())
            elif self.peek()[0] == "word" and self.peek(1)[0] == "relation":
                conditions.append(self.condition())
            elif rest or conditions:
                self.fail("operands come before attributes, and ... is the last operand")
            else:
                operands.append(self.chain())
            if not self.accept(","):
                self.expect(")")
                break
        return Call(ops, tuple(operands), tuple(conditions), tuple(copied), rest)

    def condition(self) -> Condition:
        name, relation = self.take(), self.take()
        values = [self.attribute_value()]
        while self.accept("|"):
            values.append(self.attribute_value())
        return Condition(name, relation, tuple(values))

    def attribute_value(self) -> Any:
        kind, word = self.peek()
        if kind == "string":
            return self.take()[1:-1]
        if kind == "word":
            self.take()
            return ANY if word == "_" else Capture(word)
        return self.value()

    def value(self) -> Any:
        """A number, or a list of values."""
        if self.accept("["):
            found = []
            while not self.accept("]"):
                found.append(self.take()[1:-1] if self.peek()[0] == "string" else self.value())
                if not self.accept(","):
                    self.expect("]")
                    break
            return found
        kind, word = self.peek()
        if kind != "number":
            self.fail("a number is missing" + (f" before {word!r}" if word.strip() else ""))
        if len(word) > 40:
            self.fail("the number is too long")
        self.take()
        return int(word) if re.fullmatch(r"[-+]?\d+", word) else float(word)

    def kind(self) -> Kind:
        """What follows a colon: words and a shape."""
        if not self.accept(":"):
            return Kind()
        found: dict[str, Any] = {}
        while self.peek()[0] == "word" or self.peek()[1] == "[":
            if self.accept("["):
                sizes: list[int | None] = []
                while not self.accept("]"):
                    size = self.take()
                    if size != "_" and not (size.isdecimal() and len(size) < 19):
                        self.fail("sizes are numbers, or _ for any")
                    sizes.append(None if size == "_" else int(size))
                    if not self.accept(","):
                        self.expect("]")
                        break
                found["shape"] = tuple(sizes)
            else:
                word = self.peek()[1]
                if word in KINDS:
                    found[word] = True
                else:
                    try:
                        found["dtype"] = element_type(word)
                    except ModelError:
                        self.fail(f"{word!r} is neither {', '.join(KINDS)}, an element type, nor a shape")
                self.take()
        if not found:
            self.fail("a kind follows the colon: " + ", ".join(KINDS) + ", an element type, a shape")
        return Kind(**found)


def is_operator(word: str) -> bool:
    """A word that is the name of a standard operator, or names its domain, is an operator."""
    return "::" in word or word in operators("") or word in operators("ai.onnx.ml")


@functools.lru_cache(256)
def parse(text: str) -> Pattern:
    """The pattern of a text. ModelError that points at the place where it cannot be read."""
    if not isinstance(text, str):
        raise ModelError(f"a pattern is a text, not {type(text).__name__}")
    statements = tuple(Reader(text).statements())
    if not statements:
        raise ModelError("the pattern is empty")
    made: dict[str, tuple[Term, int]] = {}
    for statement in statements:
        for k, name in enumerate(statement.results):
            if name in made:
                raise ModelError(f"the pattern makes {name!r} twice", pattern=text)
            if name != "_":
                made[name] = (statement.term, k)
    return Pattern(text, statements, made)
