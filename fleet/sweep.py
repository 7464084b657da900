"""`python -m fleet.sweep [--dry-run | --adopt | --confirm]`: run the sweeper by hand and print a table."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from fleet.sweep_plan import Action


def render_table(actions: Sequence[Action]) -> str:
    """Return one line for each difference between the clouds and our records."""
    if not actions:
        return "Clouds and records agree: nothing to do."
    rows = [("verdict", "done", "provider", "machine", "tag", "why")]
    rows += [
        (each.verdict, "yes" if each.done else "no", each.provider, each.machine_id, each.tag, each.reason)
        for each in actions
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main() -> int:
    """Run the command and return the exit status."""
    # The composition root reads the settings; this command asks it to.
    from server import adopt_once, one_line_errors, sweep_once  # noqa: PLC0415 - by then it may

    parser = argparse.ArgumentParser(description="Settle differences between the clouds and our records.")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    parser.add_argument("--confirm", action="store_true", help="also delete machines that wait for an operator (HOLD)")
    parser.add_argument("--adopt", action="store_true", help="create records for waiting machines that have none")
    arguments = parser.parse_args()
    with one_line_errors():
        if arguments.adopt:
            actions = asyncio.run(adopt_once())
        else:
            actions = asyncio.run(sweep_once(dry_run=arguments.dry_run, confirm=arguments.confirm))
    print(render_table(actions))  # noqa: T201  (for the operator in a terminal)
    return 0


if __name__ == "__main__":
    sys.exit(main())
