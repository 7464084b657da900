"""`python -m docs.rest_page` writes docs/rest.md from the table of paths and the table of statuses."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

from web.error_responses import STATUSES
from web.rest_routes import PATHS, Part, RestPath, Source

PAGE: Final = Path(__file__).parent / "rest.md"

_HEAD: Final = """# REST paths

Made by `python -m docs.rest_page` from the table in `web/rest_routes.py`; a test keeps it true.

For clients that do not speak GraphQL. Each path runs one document of `graphql/operations/`, for the same callers, under
the same limits and with the same entries in the audit log as `/graphql`; it can do nothing that GraphQL cannot.

```console
$ curl -s 'http://127.0.0.1:8000/billing/estimate?console=switch&hours=2&latitude=32.7767&longitude=-96.7970'
$ curl -s http://127.0.0.1:8000/launch -H 'Content-Type: application/json' \\
    -d '{"console": "SWITCH", "gameId": "mario-odyssey"}'
$ curl -sN http://127.0.0.1:8000/launch/<the id of that launch>/progress
```

- Credentials are those of GraphQL: [Who is calling](identity.md).
- The answer is the document's data. Ids in paths are those that answers give.
- Parameters stand in the query string. One that may be repeated makes a list: `?status=RUNNING&status=STOPPED`. Words
  of an enum may be written small. A parameter or a field that the path does not know is refused.
- A body is a JSON object of type `application/json`. Where *body* stands for a whole input, its fields are those of
  that input in `graphql/schema.graphql`.
- `/launch/{id}/progress` answers with server-sent events, in the form of GraphQL over SSE: `event: next` with data for
  each step, `event: complete` at the end. `after` is the last sequence that was seen. A browser's `EventSource` comes
  back by itself: each event has its sequence as `id`, `Last-Event-ID` goes on after it, and after the last event the
  answer is 204.
- The paths in the last column are names of the same thing from before GraphQL.

| | path | document | variables | also |
|---|---|---|---|---|"""

_STATUSES: Final = """
## Statuses

200 with the data, or the status of the first error with `{"errors": [...]}`. Each error has a `code` and a `message`,
and where it helps `field` (the parameter, or the field of the body, that is at fault), `path` (as in GraphQL) and what
else GraphQL says of it. Where only a part of the data could not be had, the rest comes with 200 and `errors` beside it.
What is unknown and what is somebody else's are both 404; a body that is too large, too slow or of another type is 413,
408 or 415; a method that a path does not have is 405, and `Allow` names those it has. 429 and 503 say in `Retry-After`
how many seconds to wait.

| status | `code` |
|---|---|"""


def page() -> str:
    return "\n".join([_HEAD, *map(_row, PATHS), _STATUSES, *_statuses()]) + "\n"


def _row(row: RestPath) -> str:
    methods = ", ".join(row.methods)
    variables = ", ".join(_variable(target, source) for target, source in row.variables.items()) or "none"
    earlier = ", ".join(f"`{path}`" for path in row.earlier)
    return f"| {methods} | `{row.path}` | `{row.document}` | {variables} | {earlier} |"


def _variable(target: str, source: Source) -> str:
    match source.part:
        case Part.PATH:
            return f"`{target}`: `{{{source.name}}}`"
        case Part.QUERY:
            return f"`{target}`" if target == source.name else f"`{target}`: `{source.name}`"
    return f"`{target}`: *body*" + (f" `{source.name}`" if source.name else "")


def _statuses() -> list[str]:
    codes = defaultdict(list)
    for code, status in STATUSES.items():
        codes[status].append(f"`{code}`")
    return [f"| {status} | {', '.join(names)} |" for status, names in codes.items()]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
