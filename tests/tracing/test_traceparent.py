from __future__ import annotations

import pytest

from tracing.traceparent import TraceParent, parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f" 00-{TRACE}-{SPAN}-02 ", False),
        (f"cc-{TRACE}-{SPAN}-01-of-a-later-version", True),
    ],
)
def test_a_trace_of_the_caller_is_read(value: str, *, sampled: bool) -> None:
    assert parse_traceparent(value) == TraceParent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        *(None, 7, "", "00", f"00-{TRACE}-{SPAN}", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-more"),
        *(f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01"),
        *(f"00-{TRACE[1:]}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01\n00-x", f"cc-{TRACE}-{SPAN}-01-{'x' * 300}"),
    ],
)
def test_anything_else_is_ignored(value: object) -> None:
    assert parse_traceparent(value) is None
