"""One launch is one trace, from the operation to the commands on the machine, whichever workers it had."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.service import MARIO, Deployment
from tests.otlp import collector

pytestmark = pytest.mark.timeout(150)

TRACE, PAGE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
LAUNCH = "mutation LaunchGame > StartWorkflow:Launch"
PATHS = {
    "mutation LaunchGame > TENSORDOCK sites",
    LAUNCH,
    f"{LAUNCH} > RunWorkflow:Launch",
    f"{LAUNCH} > StartActivity:choose > RunActivity:choose > TENSORDOCK health",
    f"{LAUNCH} > StartActivity:rent > RunActivity:rent > TENSORDOCK rent > HTTP POST",
    f"{LAUNCH} > StartActivity:connect > RunActivity:connect > SSH connect",
    f"{LAUNCH} > StartActivity:install > RunActivity:install > cloudypad get",
    f"{LAUNCH} > StartActivity:configure_game > RunActivity:configure_game > SSH connect",
    f"{LAUNCH} > CompleteWorkflow:Launch",
}


async def test_a_launch_is_one_trace_also_when_its_worker_dies(deployed: Deployment) -> None:
    with collector() as found:
        deployed.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = found.url
        gateway = await deployed.gateway()
        worker = deployed.worker()
        answer = await gateway.ask("LaunchGame", {"input": MARIO}, traceparent=f"00-{TRACE}-{PAGE}-01")
        launch_id = str(answer["data"]["launchGame"]["launch"]["id"])
        await asyncio.to_thread(found.wait_for, "StartActivity:install", 60)
        worker.kill()
        deployed.worker()
        events = await gateway.until_over(launch_id)
        await asyncio.to_thread(found.wait_for, "CompleteWorkflow:Launch")

    assert events[-1]["status"] == "READY"
    assert {span.trace_id for span in found.spans} == {TRACE}
    (operation,) = found.named("mutation LaunchGame")
    assert (operation.parent_id, operation.attributes["gamer.outcome"]) == (PAGE, "ok")
    of_launch = operation.attributes["gamer.launch.id"]
    of_temporal = [span.attributes["temporalWorkflowID"] for span in found.spans if "Workflow:" in span.name]
    assert set(of_temporal) == {f"launch-{of_launch}"}, "the machine's own workflow is not part of the trace"
    assert PATHS - {" > ".join(found.path(span)) for span in found.spans} == set()
    workers = {span.resource["service.instance.id"] for span in found.spans if span.resource["gamer.role"] == "worker"}
    assert len(workers) == 2
    assert {span.events for span in found.spans} == {0}
