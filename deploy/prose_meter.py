"""Measure how plain the prose of the tree is: `make prose`, part of `make check`.

Two figures per top-level folder: words of the old house dialect per 1,000 words of docstrings, comments and pages, and
the share of function docstrings with a first word that is no verb, such as `What` or `None`. `[tool.prose-meter]` in
pyproject.toml holds the limits of folders that are not there yet. They only go down: a folder that meets the general
limits loses its line. `python deploy/prose_meter.py FOLDER…` lists every place that counts.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DIALECT_PER_1000: Final = 2.0
ELLIPTIC_PERCENT: Final = 5.0

DIALECT: Final = re.compile(
    r"\b(whoever|nobody|somebody|everybody|whose|whom|who|anew|meanwhile|told|tells?|telling|stands?|befalls?"
    r"|asked for|any more|of its own|no good)\b",
    re.IGNORECASE,
)
# First words of a docstring that is half a sentence: its verb or its subject is missing.
ELLIPTIC: Final = re.compile(
    r"(What|Whether|Who|Whose|Where|None|Of|Those|As|From|Until|How|Which|Without|Its|For|False|True|To|Why|When|By|In|So"
    r"|All|Only|Once|Over|Within|One|Two|No|Nobody|The|A|An|Every|Each|Same|Like|At|On|It)"
)
_WORD: Final = re.compile(r"[A-Za-z']+")
_FENCED: Final = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_LEFT_OUT: Final = ("CHANGELOG.md", "web/console/dist/", "web/graphiql/dist/", "findings/")


@dataclass(frozen=True)
class Prose:
    """One docstring, comment or page. `of_function` is true for the docstring of a function."""

    path: Path
    line: int
    text: str
    of_function: bool = False

    @property
    def words(self) -> int:
        """Return the number of words."""
        return len(_WORD.findall(self.text))

    @property
    def dialect(self) -> list[str]:
        """Return the words of the dialect, in order."""
        return [match.group() for match in DIALECT.finditer(self.text)]

    @property
    def is_elliptic(self) -> bool:
        """Return whether a function's docstring begins with a word that is no verb."""
        first = _WORD.search(self.text)
        return self.of_function and first is not None and ELLIPTIC.fullmatch(first.group()) is not None


@dataclass
class Reading:
    """The figures of one folder."""

    prose: list[Prose] = field(default_factory=list)

    @property
    def dialect_per_1000(self) -> float:
        """Return words of the dialect per 1,000 words."""
        return 1000 * sum(len(each.dialect) for each in self.prose) / max(1, sum(each.words for each in self.prose))

    @property
    def elliptic_percent(self) -> float:
        """Return the share of function docstrings without a verb in front, in percent."""
        functions = [each for each in self.prose if each.of_function]
        return 100 * sum(each.is_elliptic for each in functions) / max(1, len(functions))


def read_python(path: Path, source: str) -> Iterator[Prose]:
    """Yield the docstrings and comments of a module; neighbouring comment lines count one by one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)):
            doc = ast.get_docstring(node)
            if doc:
                is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                yield Prose(path, node.body[0].lineno, doc, is_function)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Prose(path, token.start[0], token.string)


def read_markdown(path: Path, source: str) -> Iterator[Prose]:
    """Yield the lines of a page without its code."""
    blanked = _FENCED.sub(lambda code: "\n" * code.group().count("\n"), source)
    for number, line in enumerate(blanked.splitlines(), 1):
        yield Prose(path, number, line)


def measure(paths: Iterable[Path]) -> dict[str, Reading]:
    """Return the figures per top-level folder; a file at the top counts by its own name."""
    readings: defaultdict[str, Reading] = defaultdict(Reading)
    for path in paths:
        read = read_python if path.suffix == ".py" else read_markdown
        readings[path.parts[0]].prose.extend(read(path, path.read_text(encoding="utf-8")))
    return dict(readings)


def exceeded(readings: Mapping[str, Reading], limits: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return one sentence for each figure above its folder's limit."""
    complaints: list[str] = []
    for folder, reading in sorted(readings.items()):
        dialect, elliptic = limits.get(folder, (DIALECT_PER_1000, ELLIPTIC_PERCENT))
        if reading.dialect_per_1000 > dialect:
            complaints.append(
                f"{folder}: {reading.dialect_per_1000:.1f} dialect words per 1,000, {dialect:g} are allowed"
            )
        if reading.elliptic_percent > elliptic:
            complaints.append(
                f"{folder}: {reading.elliptic_percent:.1f} % of function docstrings begin without a verb, "
                f"{elliptic:g} % are allowed"
            )
    return complaints


def places(readings: Mapping[str, Reading], folder: str) -> Iterator[str]:
    """Yield every place of a folder that counts, and why."""
    for each in readings[folder].prose:
        if each.dialect:
            yield f"{each.path}:{each.line}: {', '.join(each.dialect)}"
        if each.is_elliptic:
            yield f"{each.path}:{each.line}: begins without a verb: {each.text.splitlines()[0]}"


def tracked() -> list[Path]:
    """Return the Python files and pages that git tracks."""
    listed = subprocess.run(["git", "ls-files", "*.py", "*.md"], capture_output=True, text=True, check=True)  # noqa: S607
    return [
        Path(name) for name in listed.stdout.splitlines() if not name.startswith(_LEFT_OUT) and Path(name).is_file()
    ]


def main(folders: list[str]) -> int:
    """Print the places of the given folders, or compare all folders with their limits; return the exit status."""
    readings = measure(tracked())
    if folders:
        for folder in folders:
            for place in places(readings, folder.rstrip("/")):
                print(place)  # noqa: T201  (output of a command)
            reading = readings[folder.rstrip("/")]
            print(f"{folder}: {reading.dialect_per_1000:.1f} per 1,000, {reading.elliptic_percent:.1f} %")  # noqa: T201
        return 0
    limits = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["prose-meter"]
    complaints = exceeded(readings, limits)
    for complaint in complaints:
        print(f"{complaint}; deploy/prose_meter.py names the places", file=sys.stderr)  # noqa: T201  (see above)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
