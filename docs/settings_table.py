"""Writes all settings with their descriptions into README.md and `.env.example`: `python -m docs.settings_table`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from settings import Settings

ENV_EXAMPLE: Final = Path(__file__).parents[1] / ".env.example"
README: Final = Path(__file__).parents[1] / "README.md"
BEGIN: Final = "<!-- the table of settings; `make docs` writes it -->"
END: Final = "<!-- the end of that table -->"


def with_table(readme: str) -> str:
    """Return the README with a current table."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}{END}{after}"


def table() -> str:
    """Return the table of all settings in Markdown."""
    rows = (f"| `{name.upper()}` | {_default(field)} | {field.description} |" for name, field in _fields())
    return "\n".join(("| Variable | Default | Meaning |", "|---|---|---|", *rows)) + "\n"


def env_example() -> str:
    """Return the content of `.env.example`: every variable, commented out, with its default or an example."""
    parts = ["# Copy this file to .env and uncomment the settings that you change. Made by `make docs`."]
    for name, field in _fields():
        example = _plain_default(field) or next((str(one) for one in field.examples or ()), "")
        parts.append(f"# {field.description}\n#{name.upper()}={example}")
    return "\n\n".join(parts) + "\n"


def _plain_default(field: FieldInfo) -> str:
    return ",".join(_default(field).replace("`", "").replace("none", "").split())


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
    ENV_EXAMPLE.write_text(env_example(), encoding="utf-8")
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
