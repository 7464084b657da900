"""Words to arguments: variables, command substitution, `~`, field splitting and file name patterns."""

from __future__ import annotations

import ast
import fnmatch
import operator
import posixpath
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping

from simulator.machines.files import Files
from simulator.machines.shell.syntax import Arithmetic, Literal, Part, ShellSyntaxError, Substitution, Variable, Word

Capture = Callable[[str], Awaitable[str]]
PATTERN_CHARACTERS = re.compile(r"[*?\[]")
CALCULATIONS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class Expander:
    """Expands words for one shell. `capture` runs a script and gives its output."""

    def __init__(self, variables: MutableMapping[str, str], files: Files, cwd: str, capture: Capture) -> None:
        self._variables = variables
        self._files = files
        self._cwd = cwd
        self._capture = capture

    async def arguments(self, words: tuple[Word, ...]) -> list[str]:
        found: list[str] = []
        for word in words:
            found.extend(await self._fields(word))
        return found

    async def text(self, word: Word) -> str:
        """The word as one text: not split, no patterns, as in an assignment."""
        return "".join([await self._part(part) for part in self._at_home(word).parts])

    async def pattern(self, word: Word) -> str:
        """The word as a pattern for `case`, in which quoted characters stand for themselves."""
        return "".join([_as_pattern(part, await self._part(part)) for part in word.parts])

    async def _fields(self, word: Word) -> list[str]:
        word = self._at_home(word)
        if word.parts == (Variable("@", quoted=True),) or _is_quoted_at(word):
            return self._positional()
        fields: list[list[tuple[str, bool]]] = [[]]
        for part in word.parts:
            text = await self._part(part)
            if isinstance(part, Literal) or part.quoted:
                fields[-1].append((text, part.quoted))
                continue
            pieces = text.split()
            if text[:1].isspace() and fields[-1]:
                fields.append([])
            for index, piece in enumerate(pieces):
                if index:
                    fields.append([])
                fields[-1].append((piece, False))
            if pieces and text[-1:].isspace():
                fields.append([])
        return [text for field in fields if field for text in self._matches(field)]

    def _positional(self) -> list[str]:
        return [self._variables[str(number)] for number in range(1, int(self._variables.get("#", "0")) + 1)]

    def _matches(self, field: list[tuple[str, bool]]) -> list[str]:
        """The files that a pattern names, or the text itself where it is none or names nothing."""
        plain = "".join(text for text, _ in field)
        if not any(not quoted and PATTERN_CHARACTERS.search(text) for text, quoted in field):
            return [plain]
        pattern = "".join(_escaped(text) if quoted else text for text, quoted in field)
        base = "/" if pattern.startswith("/") else self._cwd
        found = [base]
        for step in pattern.strip("/").split("/"):
            found = [match for folder in found for match in self._in_folder(folder, step)]
        shown = found if pattern.startswith("/") else [posixpath.relpath(path, self._cwd) for path in found]
        return shown or [plain]

    def _in_folder(self, folder: str, step: str) -> list[str]:
        if not self._files.is_dir(folder):
            return []
        names = [name for name in self._files.listdir(folder) if step[:1] == "." or not name.startswith(".")]
        return [posixpath.join(folder, name) for name in names if fnmatch.fnmatchcase(name, step)]

    def _at_home(self, word: Word) -> Word:
        """`~` and `~/...`, which only count unquoted and at the start."""
        starts = [part for part in word.parts[:2] if isinstance(part, Literal) and not part.quoted]
        if not starts or starts[0].text != "~" or starts[0] is not word.parts[0]:
            return word
        if len(word.parts) > 1 and word.parts[1] != Literal("/", quoted=False):
            return word
        return Word((Literal(self._variables.get("HOME", "/"), quoted=True), *word.parts[1:]))

    async def _part(self, part: Part) -> str:
        if isinstance(part, Literal):
            return part.text
        if isinstance(part, Substitution):
            return (await self._capture(part.script)).rstrip("\n")
        if isinstance(part, Arithmetic):
            return str(self._calculate(part.expression))
        return await self._variable(part)

    async def _variable(self, part: Variable) -> str:
        value = self._variables.get(part.name)
        if part.name in "@*":
            value = " ".join(self._positional())
        if part.operator == "length":
            return str(len(value or ""))
        word = await self.text(part.word) if part.word else ""
        if part.operator.endswith(("#", "%")):
            return _trimmed(value or "", part.operator, word)
        there = bool(value) if part.operator.startswith(":") else value is not None
        if part.operator.endswith("+"):
            return word if there else ""
        if there or not part.operator:
            return value or ""
        if part.operator.endswith("?"):
            raise ShellSyntaxError(f"{part.name}: {word or 'parameter not set'}")
        if part.operator.endswith("="):
            self._variables[part.name] = word
        return word

    def _calculate(self, expression: str) -> int:
        plain = re.sub(r"\$?\b([A-Za-z_]\w*)", lambda name: self._variables.get(name[1]) or "0", expression)
        try:
            return _value(ast.parse(plain.strip(), mode="eval").body)
        except (SyntaxError, ZeroDivisionError):
            raise ShellSyntaxError(f'arithmetic expression: expecting primary: "{expression}"') from None


def _value(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in CALCULATIONS:
            return CALCULATIONS[type(sign)](_value(left), _value(right))
    raise SyntaxError


def _is_quoted_at(word: Word) -> bool:
    """`"$@"`: an empty quoted literal marks the quotes."""
    return word.parts == (Literal("", quoted=True), Variable("@", quoted=True))


def _as_pattern(part: Part, text: str) -> str:
    return text if isinstance(part, Literal) and not part.quoted else _escaped(text)


def _escaped(text: str) -> str:
    return PATTERN_CHARACTERS.sub(lambda found: f"[{found[0]}]", text)


def _trimmed(value: str, sign: str, pattern: str) -> str:
    """`${x#pattern}` and its kin; the doubled sign takes the longest match."""
    cuts = range(len(value) + 1)
    if sign.startswith("#"):
        fitting = [cut for cut in cuts if fnmatch.fnmatchcase(value[:cut], pattern)]
        cut = (fitting[-1] if sign == "##" else fitting[0]) if fitting else 0
        return value[cut:]
    fitting = [cut for cut in cuts if fnmatch.fnmatchcase(value[cut:], pattern)]
    return value[: (fitting[0] if sign == "%%" else fitting[-1])] if fitting else value
