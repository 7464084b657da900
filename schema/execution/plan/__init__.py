"""GraphQL operations compiled to Python.

`OperationPlan` takes a schema and an operation of a valid document. At its first execution it compiles the operation's
selections to Python functions that read the resolvers' values directly and build the answer's dictionaries. Fields that
must be awaited are collected while their parents are built; all that belong to one field of the document are then
resolved together, with one load where the field has a `Batch` (pass `metadata=Batch(...).metadata` to
`strawberry.field`).

The answers are graphql-core's, errors included. Arguments, variables, directives and fragments are read by graphql-core
itself, when an operation is compiled or begins. A value that the compiled functions do not accept (null where null is
not allowed, a foreign class, a number out of range) is completed again by graphql-core's executor, which decides what
is wrong with it. `NotPlannedError` says, before any resolver is called, that an operation has to be executed by
graphql-core as a whole, and why.

What the compiler relies on: attributes of Strawberry types are values and not awaitables, and resolvers without
`async` have no side effects, because they may be called again.
"""

from schema.execution.plan.batch import Batch
from schema.execution.plan.cache import PlanCache
from schema.execution.plan.fields import Compiled
from schema.execution.plan.operation import NotPlannedError, OperationPlan

__all__ = ["Batch", "Compiled", "NotPlannedError", "OperationPlan", "PlanCache"]
