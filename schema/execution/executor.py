"""Executes requests of any transport: finds the document, measures it, validates it, runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from inspect import isawaitable
from time import perf_counter
from typing import Any, Final, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    GraphQLError,
    create_source_event_stream,
    execute,
    execute_subscription_event,
    validate,
)
from strawberry.execution import optimized_is_awaitable

from auth.callers import Role
from errors import GatewayError
from models.unreadable import collect_unreadable
from providers.last_known import collect_stale
from resolvers.context import Context
from schema.execution.answers import answer_of, left_out_records, record_denials, stale_sources
from schema.execution.document_cache import LRUCache
from schema.execution.errors import (
    BAD_USER_INPUT,
    FORBIDDEN,
    fault,
    fault_of,
    masked,
)
from schema.execution.limits import Limits, cost_report
from schema.execution.observer import NullObserver, OperationObserver, Outcome
from schema.execution.parsed_document import ParsedDocument, chosen_operation, parse
from schema.execution.plan import Compiled, NotPlannedError, PlanCache
from schema.execution.requests import (
    GraphQLRequest,
    OperationKind,
    Prepared,
    RequestFailedError,
    refused,
    shared_key,
    variables_as_json,
    variables_of,
)
from schema.execution.shared_answers import SharedAnswer, SharedAnswers
from schema.execution.shared_events import SharedEvents
from schema.execution.stray_cancellations import StrayCancellationError, strays_as_errors
from schema.execution.trusted_documents import LearnedDocuments, TrustedDocuments, sha256_of
from schema.root import SCHEMA
from tracing import spans

_MOST_MISTAKES: Final = 5  # of a document that are reported, so that the response stays small


class _Report:
    outcome = Outcome.INTERRUPTED


class GraphQLExecution:
    """Executes operations; one object per process. Caches valid documents, but nothing about callers."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        documents: TrustedDocuments | None = None,
        trusted_only: bool = False,
        open_introspection: bool = True,
        suggestions: bool = True,
        listener: OperationObserver | None = None,
        plans: bool = True,
    ) -> None:
        """`trusted_only`: run only trusted documents. `open_introspection`: allow introspection to all callers.

        `suggestions`: suggest names for misspelt ones to all callers. Without these two, only operators get them.
        `listener` is notified of every operation. `plans`: execute operations by compiled plans where possible.
        """
        self._limits = limits or Limits()
        self._documents = documents or TrustedDocuments.of_folder()
        self._learned = LearnedDocuments()
        self._trusted_only = trusted_only
        self._open_introspection = open_introspection
        self._suggestions = suggestions
        self._listener = listener or NullObserver()
        self._plans = plans
        self._compiled: PlanCache[Compiled | NotPlannedError] = PlanCache()
        self._valid: LRUCache[ParsedDocument] = LRUCache()
        self._shared = SharedAnswers(SCHEMA)
        self._events = SharedEvents(SCHEMA)

    @property
    def remembered_characters(self) -> int:
        """Return the total length of the cached documents."""
        return self._valid.characters

    def prepare(self, request: GraphQLRequest, context: Context) -> Prepared:
        """Check a request and prepare it. Raise RequestFailedError if it cannot be run."""
        try:
            return self._prepared(request, context)
        except RequestFailedError:
            self._listener.answered(None, Outcome.REFUSED, 0.0)
            raise

    def _prepared(self, request: GraphQLRequest, context: Context) -> Prepared:
        text = self._text(request)
        try:
            known = self._valid.get(text)
            parsed = known or parse(text, self._limits)
            measured = parsed.measure(self._limits, request.variables, request.operation_name)
        except GraphQLError as error:
            raise RequestFailedError(fault(error)) from None
        if parsed.introspects and not self._open_introspection and context.caller.role is not Role.OPERATOR:
            raise refused("the schema is shown to operators only", FORBIDDEN)
        if known is None:
            self._validate(parsed.document, context)
            self._valid.add(text, parsed)
        operation = chosen_operation(parsed.operations, request.operation_name)
        kind = OperationKind(operation.operation.value)
        planned = self._plans and kind is not OperationKind.SUBSCRIPTION
        plan = parsed.plan(operation, self._compiled) if planned else None
        return Prepared(text, self._documents.name_of(text), parsed.document, kind, request, measured, plan)

    async def execute(self, prepared: Prepared, context: Context) -> dict[str, Any]:
        """Run a query or mutation. Raise RequestFailedError if its variables do not fit."""
        try:
            with self._reported(prepared) as report:
                answer = await self._executed(prepared, context)
                report.outcome = Outcome.ERROR if "errors" in answer else Outcome.OK
        finally:
            if prepared.kind is OperationKind.MUTATION:
                self._shared.clear()  # also when the caller has gone: the write may have been made
        return answer

    def kept_answer(self, request: GraphQLRequest, role: Role) -> SharedAnswer | None:
        """Return a shared answer that is kept. It was prepared for the same request of a caller of the same role."""
        text = request.query
        if text is None:
            named = (request.extensions or {}).get("persistedQuery")
            hash_ = named.get("sha256Hash") if isinstance(named, dict) else None
            text = self._known(hash_) if isinstance(hash_, str) else None
        elif request.extensions:
            return None  # they may name another document
        key = None if text is None else shared_key(text, request, role)
        kept = None if key is None else self._shared.kept(key)
        if kept is not None and text is not None:
            self._listener.answered(self._documents.name_of(text), Outcome.OK, 0.0)
        return kept

    async def execute_shared(self, prepared: Prepared, context: Context) -> SharedAnswer | None:
        """Return the answer that all callers of this role share, or None if it belongs to the caller alone.

        Raises RequestFailedError as `execute` does.
        """
        if prepared.kind is not OperationKind.QUERY:
            return None
        max_age_s = self._shared.max_age_s(prepared.text, prepared.document)
        key = shared_key(prepared.text, prepared.request, context.caller.role)
        if max_age_s == 0 or key is None:
            return None
        with self._reported(prepared) as report:
            shared = await self._shared.get(key, max_age_s, lambda: self._executed(prepared, context))
            report.outcome = Outcome.ERROR if "errors" in shared.answer else Outcome.OK
        return shared

    async def _executed(self, prepared: Prepared, context: Context) -> dict[str, Any]:
        try:
            with strays_as_errors(), collect_unreadable() as left_out, collect_stale() as stale:
                await context.services.pace.step()
                answer = answer_of(await self._result(prepared, context))
        except StrayCancellationError as error:
            answer = {"errors": [masked(error)], "data": None}
        answer["extensions"] = {
            "cost": cost_report(prepared.measured, self._limits),
            **left_out_records(left_out),
            **stale_sources(stale),
        }
        return answer

    async def _result(self, prepared: Prepared, context: Context) -> ExecutionResult:
        result = await self._planned(prepared, context) or await self._unplanned(prepared, context)
        await record_denials(context, result)
        return result

    async def _planned(self, prepared: Prepared, context: Context) -> ExecutionResult | None:
        """Run the compiled plan; return None if graphql-core has to execute the whole operation."""
        if prepared.plan is None:
            return None
        try:
            return await prepared.plan.execute(
                context,
                variables_of(prepared),
                hide_suggestions=self._hides_suggestions(context),
                begin=context.read_only if prepared.kind is OperationKind.QUERY else _read_all,
                completed_exactly=lambda: self._listener.executed_by_graphql_core("value"),
            )
        except NotPlannedError as error:
            self._listener.executed_by_graphql_core(error.reason)
            return None

    async def _unplanned(self, prepared: Prepared, context: Context) -> ExecutionResult:
        result = execute(
            SCHEMA,
            prepared.document,
            context_value=context,
            variable_values=variables_of(prepared),
            operation_name=prepared.request.operation_name,
            is_awaitable=cast(Any, optimized_is_awaitable),
            hide_suggestions=self._hides_suggestions(context),
        )
        return await result if isawaitable(result) else result

    async def subscribe(self, prepared: Prepared, context: Context) -> AsyncGenerator[dict[str, Any], None]:
        """Return the results of a subscription, which the caller must close.

        Raise RequestFailedError if it cannot begin. The stream raises it too when it breaks.
        """
        with self._reported(prepared) as report:
            try:
                with strays_as_errors():
                    executor, source = await self._source(prepared, context)
            except StrayCancellationError as error:
                raise RequestFailedError(masked(error)) from error
            report.outcome = Outcome.OK
        return self._answers(executor, source, prepared, context)

    async def _source(self, prepared: Prepared, context: Context) -> tuple[Executor[Any], Any]:
        """Return the events of a subscription, and what executes the document for each of them."""
        executor = Executor.build(
            SCHEMA,
            prepared.document,
            context_value=context,
            raw_variable_values=variables_of(prepared),
            operation_name=prepared.request.operation_name,
            hide_suggestions=self._hides_suggestions(context),
        )
        if isinstance(executor, list):
            answer_of(ExecutionResult(None, errors=executor))
            raise RequestFailedError(*map(fault, executor))
        source = create_source_event_stream(executor)
        if isawaitable(source):
            source = await source
        if isinstance(source, ExecutionResult):
            await record_denials(context, source)
            answer_of(source)
            raise RequestFailedError(*map(fault, source.errors or ()))
        return executor, source

    async def _answers(
        self, executor: Executor[Any], source: Any, prepared: Prepared, context: Context
    ) -> AsyncGenerator[dict[str, Any], None]:
        shape = self._shape(prepared, context)

        async def executed(event: Any) -> dict[str, Any]:
            result = execute_subscription_event(executor.build_per_event_executor(event))
            return answer_of(await result if isawaitable(result) else result)

        async with aclosing(source):
            try:
                with self._listener.following(prepared.name), strays_as_errors():
                    async for event in source:
                        if context.event_key is None:
                            yield await executed(event)
                        else:
                            key = (context.event_key, shape)
                            yield await self._events.get(key, partial(executed, event))
            except GatewayError as error:
                raise RequestFailedError(fault_of(error)) from error
            except RequestFailedError:
                raise
            except Exception as error:
                raise RequestFailedError(masked(error)) from error

    def _shape(self, prepared: Prepared, context: Context) -> Hashable:
        """Return what subscribers have in common that get the same answer to an event."""
        variables = variables_as_json(prepared.request.variables)
        if variables is None:
            return object()
        is_plain = self._events.is_plain(prepared.text, prepared.document)
        caller = None if is_plain else (context.caller.id, context.caller.role)
        return (prepared.text, prepared.request.operation_name, variables, caller)

    @contextmanager
    def _reported(self, prepared: Prepared) -> Iterator[_Report]:
        """Report the operation to the listener. The body sets its outcome."""
        begun, report = perf_counter(), _Report()
        with _span(prepared) as span:
            try:
                yield report
            except RequestFailedError:
                report.outcome = Outcome.REFUSED
                raise
            finally:
                span.note("gamer.outcome", report.outcome.value)
                self._listener.answered(prepared.name, report.outcome, perf_counter() - begun)

    def _text(self, request: GraphQLRequest) -> str:
        """Return the document's text, which was sent, or named by its hash, or both."""
        named = (request.extensions or {}).get("persistedQuery")
        hash_ = named.get("sha256Hash") if isinstance(named, dict) else None
        if named is not None and not isinstance(hash_, str):
            raise refused("extensions.persistedQuery needs a sha256Hash", BAD_USER_INPUT)
        if request.query is None or not request.query.strip():
            if hash_ is None:
                raise refused("a query is missing", BAD_USER_INPUT)
            if (known := self._known(hash_)) is None:
                raise refused("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
            return known
        if hash_ is not None and hash_.lower() != sha256_of(request.query):
            raise refused("the query is not the one that sha256Hash names", BAD_USER_INPUT)
        if self._trusted_only and not self._documents.is_trusted(request.query):
            raise refused("only trusted documents are run here", FORBIDDEN)
        if isinstance(hash_, str):
            self._learned.add(hash_, request.query)
        return request.query

    def _known(self, sha256: str) -> str | None:
        return self._documents.get(sha256) or self._learned.get(sha256)

    def _hides_suggestions(self, context: Context) -> bool:
        return not self._suggestions and context.caller.role is not Role.OPERATOR

    def _validate(self, document: DocumentNode, context: Context) -> None:
        hide = self._hides_suggestions(context)
        errors = validate(SCHEMA, document, max_errors=_MOST_MISTAKES, hide_suggestions=hide)
        if errors:
            raise RequestFailedError(*map(fault, errors))


def _span(prepared: Prepared) -> spans.Span:
    """Return the span of an operation. Only trusted documents are named: others have the words of their callers."""
    return spans.operation(prepared.kind.value, prepared.name, begins_trace=prepared.kind is OperationKind.MUTATION)


def _read_all(_: object) -> None:
    """Read whole records, which mutations need for their decisions."""
