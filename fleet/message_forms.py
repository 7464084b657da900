"""How messages travel between builds.

Every activity, workflow, signal and update takes one message. Earlier builds took the fields of some messages as
separate arguments, so this release still sends these in that form, and understands both forms. See
docs/decisions/one-message-each.md for when this ends.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Final, TypeGuard, get_type_hints

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from fleet.messages import SentAsArguments


class MessageConverter(PydanticPayloadConverter):
    """Sends marked messages in the earlier form, and reads both forms."""

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Encode the values. A marked message that is the only one becomes a payload for each field."""
        if len(values) == 1 and isinstance(message := values[0], SentAsArguments):
            values = [getattr(message, name) for name in _fields(type(message))]
        return super().to_payloads(values)

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Decode the payloads. Those of a marked message in the earlier form become the message."""
        match type_hints:
            case [kind] if _is_marked(kind) and not _is_whole(payloads):
                hints = _fields(kind)
                values = super().from_payloads(payloads, list(hints.values())[: len(payloads)])
                return [kind(**dict(zip(hints, values, strict=False)))]
            case _:
                return super().from_payloads(payloads, type_hints)

    def assemble(self, handler: Callable[..., object], arguments: Sequence[Any]) -> list[Any]:
        """Return the handler's arguments, with several of the earlier form made into its message.

        Temporal decodes them without their types, because their number is not that of the handler's parameters.
        """
        kind = _message_of(handler)
        if not _is_marked(kind) or len(arguments) < 2:
            return list(arguments)
        return self.from_payloads(self.to_payloads(arguments), [kind])


MESSAGES: Final = DataConverter(payload_converter_class=MessageConverter)
_CONVERTER: Final = MessageConverter()  # it keeps what pydantic compiled for each type


class MessageInterceptor(Interceptor):
    """Hands every activity and workflow one message, whichever form it arrived in."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Activity(next)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        return _Workflow


class _Activity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        input.args = _CONVERTER.assemble(input.fn, input.args)
        return await super().execute_activity(input)


class _Workflow(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        input.args = _CONVERTER.assemble(input.run_fn, input.args)
        return await super().execute_workflow(input)


def _is_marked(kind: Any) -> TypeGuard[type[SentAsArguments]]:
    return isinstance(kind, type) and issubclass(kind, SentAsArguments)


def _is_whole(payloads: Sequence[Payload]) -> bool:
    """Return whether this is a message in one payload, which is an object."""
    return len(payloads) == 1 and payloads[0].data.startswith(b"{")


def _fields(kind: type[SentAsArguments]) -> dict[str, type]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}  # type: ignore[arg-type]


def _message_of(handler: Callable[..., object]) -> Any:
    """Return the type of the handler's only parameter, or None if it has several or none."""
    names = [name for name in inspect.signature(handler).parameters if name != "self"]
    return get_type_hints(handler).get(names[0]) if len(names) == 1 else None
