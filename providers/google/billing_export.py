"""Reads Google's detailed billing export in BigQuery over plain REST.

Google does not promise when a cost arrives there: hours later is usual, and corrections follow for days. The export has
`cost` before credits, in the account's currency, with the rate that converts it to dollars.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from errors import ProviderBusyError, ProviderRefusedError
from providers.google.errors import failure_in, is_transient
from providers.http import Http, Reply, Request
from providers.storage.tokens import Tokens, send_authorised
from providers.tags import ANY_TAG

BIGQUERY_URL: Final = "https://bigquery.googleapis.com"
# Label of a machine and its disk, by which their costs are attributed. Without it the machine's name is used.
MACHINE_LABEL: Final = "gamer_machine"
_TABLE: Final = re.compile(r"[a-z][a-z0-9-]{4,61}[a-z0-9]\.[A-Za-z0-9_]{1,1024}\.[A-Za-z0-9_]{1,1024}")
_WAIT_MS: Final = 20_000
_TRIES: Final = 30
_SHORTEST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_PAGE_ROWS: Final = 10_000  # some 3 MB; by default it sends more at once than we accept
_MOST_BYTES: Final = 50 * 10**9
_REFUSED: Final = frozenset({400, 401, 403, 404})
_COLUMNS: Final = ("hour", "machine", "usd", "exported_at")
_WHOLE: Final = re.compile(r"-?[0-9]+")

_QUERY: Final = """
SELECT hour, machine, CAST(SUM(usd) AS STRING) AS usd, MAX(export_time) AS exported_at
FROM (
  SELECT
    TIMESTAMP_TRUNC(usage_start_time, HOUR) AS hour,
    REGEXP_EXTRACT(CONCAT(
      IFNULL((SELECT MAX(l.value) FROM UNNEST(labels) AS l WHERE l.key = @label), ''), ' ',
      IFNULL(resource.name, ''), ' ', IFNULL(resource.global_name, '')), r'NAME_OF_MACHINE') AS machine,
    (CAST(cost AS BIGNUMERIC)
      + CAST(IFNULL((SELECT SUM(c.amount) FROM UNNEST(credits) AS c), 0) AS BIGNUMERIC))
      / CAST(IFNULL(NULLIF(currency_conversion_rate, 0), 1) AS BIGNUMERIC) AS usd,
    export_time
  FROM `TABLE`
  WHERE _PARTITIONTIME >= TIMESTAMP_SUB(@since, INTERVAL 1 DAY)
    AND usage_start_time >= @since AND usage_start_time < @until AND project.id = @project
    AND (@account = '' OR billing_account_id = @account)
)
GROUP BY hour, machine
"""


@dataclass(frozen=True, slots=True)
class ExportedCost:
    """Cost of one hour: of a machine, by its tag, or of everything that belongs to no machine if the tag is None."""

    hour: datetime
    tag: str | None
    usd: Decimal
    exported_at: datetime


class BillingExport:
    def __init__(
        self,
        http: Http,
        tokens: Tokens,
        project: str,
        table: str,
        *,
        account: str | None = None,
        url: str = BIGQUERY_URL,
    ) -> None:
        """Set up the queries.

        `table` is project.dataset.table. The queries run and are paid in `project`, and cover its costs. With an
        `account`, only charges to that account count, because a table may hold several accounts.
        """
        if not _TABLE.fullmatch(table):
            raise ProviderRefusedError("the billing export's table must be project.dataset.table")
        self._http = http
        self._tokens = tokens
        self._project = project
        self._account = account or ""
        self._query = _QUERY.replace("NAME_OF_MACHINE", ANY_TAG).replace("TABLE", table)
        self._base = f"{url.rstrip('/')}/bigquery/v2/projects/{quote(project, safe='')}/queries"

    async def costs(self, since: datetime, until: datetime) -> list[ExportedCost]:
        """Return costs by hour and machine, as far as Google has exported them. Raises a ProviderError."""
        answer = await self._wait_for_job(await self._send("POST", self._base, self._job(since, until)))
        job, columns, turned = answer.get("jobReference"), _columns(answer), ""
        rows = list(_rows(answer, columns))
        while page := str(answer.get("pageToken") or ""):
            if page == turned:
                raise ProviderBusyError("BigQuery returned the same page token twice")
            answer, turned = await self._page(job, {"pageToken": page}), page
            rows += _rows(answer, columns)
        return rows

    def _job(self, since: datetime, until: datetime) -> dict[str, Any]:
        parameters = [
            _parameter("since", "TIMESTAMP", since.isoformat()),
            _parameter("until", "TIMESTAMP", until.isoformat()),
            _parameter("label", "STRING", MACHINE_LABEL),
            _parameter("project", "STRING", self._project),
            _parameter("account", "STRING", self._account),
        ]
        return {
            "query": self._query,
            "useLegacySql": False,
            "parameterMode": "NAMED",
            "queryParameters": parameters,
            "maximumBytesBilled": str(_MOST_BYTES),
            "maxResults": _PAGE_ROWS,
            "timeoutMs": _WAIT_MS,
            "formatOptions": {"useInt64Timestamp": True},
        }

    async def _wait_for_job(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Wait until the job is complete and return its result."""
        job, pause_s = answer.get("jobReference"), _SHORTEST_PAUSE_S
        for _ in range(_TRIES):
            if answer.get("jobComplete"):
                return answer
            # BigQuery usually holds its response until the job is complete, but does not promise it.
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            answer = {"jobReference": job, **await self._page(job, {})}
        raise ProviderBusyError("BigQuery did not finish the query for the costs in time")

    async def _page(self, job: Any, more: dict[str, str]) -> Mapping[str, Any]:
        try:
            url = f"{self._base}/{quote(str(job['jobId']), safe='')}"
        except (KeyError, TypeError) as error:
            raise ProviderBusyError("BigQuery's response names no job") from error
        words = {
            "location": str(job.get("location") or ""),
            "timeoutMs": str(_WAIT_MS),
            "maxResults": str(_PAGE_ROWS),
            **more,
        }
        words["formatOptions.useInt64Timestamp"] = "true"
        return await self._send("GET", f"{url}?{urlencode({k: v for k, v in words.items() if v})}", None)

    async def _send(self, method: str, url: str, body: object) -> Mapping[str, Any]:
        content = None if body is None else orjson.dumps(body)
        request = Request(method, url, {"Content-Type": "application/json"}, content, timeout_s=60)
        return _document(await send_authorised(self._http, self._tokens, request))


def _document(reply: Reply) -> Mapping[str, Any]:
    try:
        document = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        document = None
    if reply.status in _REFUSED and not is_transient(failure_in(document)):
        raise ProviderRefusedError(f"BigQuery rejected the query for the costs: status {reply.status}")
    if reply.status != 200 or not isinstance(document, dict):
        raise ProviderBusyError(f"BigQuery gave no usable response: status {reply.status}")
    # `errors` also holds the warnings of a complete result, which has columns.
    if document.get("errors") and document.get("jobComplete") and "schema" not in document:
        raise ProviderRefusedError("BigQuery could not run the query for the costs")
    return document


def _columns(answer: Mapping[str, Any]) -> tuple[int, ...]:
    """Return where each of our columns is in a row. The first response states it; later ones may not."""
    try:
        schema = answer.get("schema")
        names = list(_COLUMNS) if schema is None else [field["name"] for field in schema["fields"]]
        return tuple(names.index(name) for name in _COLUMNS)
    except (KeyError, TypeError, ValueError) as error:
        raise ProviderBusyError("BigQuery returned other columns than requested") from error


def _rows(answer: Mapping[str, Any], columns: Sequence[int]) -> Iterator[ExportedCost]:
    try:
        for row in answer.get("rows") or ():
            hour, tag, usd, exported_at = (row["f"][column]["v"] for column in columns)
            yield ExportedCost(_moment(hour), tag or None, _amount(usd), _moment(exported_at))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ProviderBusyError("BigQuery's rows cannot be read") from error


def _moment(written: str) -> datetime:
    """Parse a time: whole microseconds, as requested, or seconds as a floating-point number, BigQuery's default."""
    text = str(written)
    microseconds = int(text) if _WHOLE.fullmatch(text) else int(Decimal(text) * 10**6)
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)


def _amount(usd: str | None) -> Decimal:
    """Return the amount; a missing cost counts as zero."""
    amount = Decimal(0) if usd is None else Decimal(str(usd))
    if not amount.is_finite():
        raise ValueError("not a sum of money")
    return amount


def _parameter(name: str, kind: str, value: str) -> dict[str, Any]:
    return {"name": name, "parameterType": {"type": kind}, "parameterValue": {"value": value}}
