"""Arguments that several fields of the schema share, with their descriptions."""

from __future__ import annotations

from typing import Annotated, TypeVar

import strawberry

from schema.enums import ConsoleType, CostGroup, ProviderName

T = TypeVar("T")

Input = Annotated[T, strawberry.argument(description="The arguments of the mutation.")]

First = Annotated[int | None, strawberry.argument(description="How many items to return: 1 to 100. Null: 50.")]
After = Annotated[
    str | None,
    strawberry.argument(description="Return the items after this cursor: the `endCursor` of the previous page."),
]
UserId = Annotated[
    str | None,
    strawberry.argument(
        description="Only what belongs to this user. Services and operators may name any user; if they omit it, all "
        "users are included. Players may only name themselves."
    ),
]
AfterChange = Annotated[
    str | None,
    strawberry.argument(
        description="The `cursor` of the last event that was received: everything that has changed since comes first. "
        "Null: only what changes from now on."
    ),
]
OneConsole = Annotated[ConsoleType, strawberry.argument(description="The console.")]
MachineConsole = Annotated[ConsoleType, strawberry.argument(description="The console whose machine is needed.")]
FittingConsole = Annotated[
    ConsoleType | None, strawberry.argument(description="Only sites that offer the machine of this console.")
]
LibraryConsole = Annotated[ConsoleType | None, strawberry.argument(description="Only this console.")]
OneProvider = Annotated[
    ProviderName | None,
    strawberry.argument(description="Only this cloud. Null: every cloud that the console enables."),
]
GroupBy = Annotated[
    CostGroup | None, strawberry.argument(description="What `groups` and `lines` are by. Null: PROVIDER.")
]
