"""`python -m docs.settings_table` writes the table of all variables into README.md, from their own descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from settings import Settings

README: Final = Path(__file__).parents[1] / "README.md"
BEGIN: Final = "<!-- the table of settings; `make docs` writes it -->"
END: Final = "<!-- the end of that table -->"


def with_table(readme: str) -> str:
    """The same text with the table that is true now."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}{END}{after}"


def table() -> str:
    rows = (f"| `{name.upper()}` | {_default(field)} | {field.description} |" for name, field in _fields())
    return "\n".join(("| Variable | Default | Meaning |", "|---|---|---|", *rows)) + "\n"


def _fields() -> list[tuple[str, FieldInfo]]:
    return list(Settings.model_fields.items())


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default is PydanticUndefined or default == ():
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return " ".join(f"`{part}`" for part in default)
    if isinstance(default, float):
        return f"`{default:g}`"
    return f"`{default}`"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
