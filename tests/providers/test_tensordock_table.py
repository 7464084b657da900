from __future__ import annotations

import pytest

from errors import NoCapacityError, ProviderBusyError, ProviderError, ProviderRefusedError
from providers.tensordock.error_table import DeploymentFailedError, Meaning, error, meaning
from providers.tensordock.operations import Operation
from providers.tensordock.parse import Failure

CREATE, GET, DELETE = Operation.CREATE, Operation.GET_INSTANCE, Operation.DELETE
START, STOP, FREE = Operation.START, Operation.STOP, Operation.STOP_AND_FREE
LIST = Operation.LIST_INSTANCES


@pytest.mark.parametrize("status", [200, 400, 500, 503])
@pytest.mark.parametrize(
    ("operation", "words", "means"),
    [
        (CREATE, "No available nodes found", Meaning.FULL),
        (CREATE, "Error: No available public IPs on hostnode", Meaning.FULL),
        (START, "no available nodes found", Meaning.FULL),
        (CREATE, "unexpected error during deployment", Meaning.FAILED),
        (CREATE, "You need at least $1.00 to deploy", Meaning.NO_MONEY),
        (CREATE, "SSH port (22) must be forwarded for Ubuntu VMs", Meaning.REFUSED),
        (START, "Instance is already running", Meaning.DONE),
        (START, "already started", Meaning.DONE),
        (START, "Instance must be stopped", Meaning.WRONG_STATE),
        (START, "Machine is running, therefore it cannot be started", Meaning.WRONG_STATE),
        (STOP, "Instance is already stopped", Meaning.DONE),
        (FREE, "Machine is stoppeddisassociated, therefore it cannot be stopped", Meaning.WRONG_STATE),
        (DELETE, "Server already terminated", Meaning.GONE),
    ],
)
def test_known_words_mean_the_same_at_every_status(
    operation: Operation, words: str, means: Meaning, status: int
) -> None:
    assert meaning(operation, Failure(status, words)) is means


@pytest.mark.parametrize(
    ("operation", "failure", "means"),
    [
        (GET, Failure(404, ""), Meaning.GONE),
        (DELETE, Failure(404, "whatever"), Meaning.GONE),
        (GET, Failure(400, "Instance not found"), Meaning.GONE),
        (STOP, Failure(200, "instance not found"), Meaning.GONE),
        (GET, Failure(502, "upstream host not found"), Meaning.BUSY),
        (GET, Failure(404, "", is_own=False), Meaning.BUSY),
        (DELETE, Failure(404, "", is_own=False), Meaning.BUSY),
        (CREATE, Failure(200, "", is_own=False), Meaning.BUSY),
        (CREATE, Failure(502, "", is_own=False), Meaning.FAILED),
        (CREATE, Failure(404, "", is_own=False), Meaning.BUSY),
        (CREATE, Failure(500, "Internal Server Error"), Meaning.FAILED),
        (CREATE, Failure(402, "Payment required"), Meaning.NO_MONEY),
        (LIST, Failure(404, "not found"), None),
        (CREATE, Failure(404, "Hostnode not found"), Meaning.FULL),
        (CREATE, Failure(410, "Gone"), Meaning.FULL),
        (CREATE, Failure(401, "Unauthorized"), Meaning.REFUSED),
        (LIST, Failure(403, "Forbidden"), Meaning.REFUSED),
        (LIST, Failure(403, "", is_own=False), Meaning.BUSY),
        (CREATE, Failure(400, "vcpu_count must be even", bad_order=True), Meaning.REFUSED),
        (CREATE, Failure(429, "Too many requests"), Meaning.BUSY),
        (START, Failure(500, "unexpected error during deployment"), Meaning.BUSY),
        (CREATE, Failure(400, "the moon is full"), Meaning.FAILED),
        (CREATE, Failure(200, "out of stock"), None),
        (START, Failure(400, "resources unavailable"), Meaning.GIVEN_AWAY),
        (START, Failure(409, "conflict"), Meaning.WRONG_STATE),
        (STOP, Failure(409, "conflict"), Meaning.WRONG_STATE),
        (STOP, Failure(400, "not running"), Meaning.WRONG_STATE),
        (DELETE, Failure(409, "busy"), None),
        (Operation.TEST_CREDENTIALS, Failure(200, "Invalid API key"), Meaning.REFUSED),
        (Operation.TEST_CREDENTIALS, Failure(500, "oops"), Meaning.BUSY),
        (Operation.READ_BALANCE, Failure(200, "Invalid API key"), None),
    ],
)
def test_status_counts_where_words_do_not_say(operation: Operation, failure: Failure, means: Meaning | None) -> None:
    assert meaning(operation, failure) is means


@pytest.mark.parametrize(
    ("means", "kind"),
    [
        (Meaning.FULL, NoCapacityError),
        (Meaning.FAILED, DeploymentFailedError),
        (Meaning.REFUSED, ProviderRefusedError),
        (Meaning.BUSY, ProviderBusyError),
        (None, ProviderBusyError),
    ],
)
def test_the_unknown_is_busy_and_never_guessed_to_be_full(means: Meaning | None, kind: type[ProviderError]) -> None:
    raised = error(CREATE, Failure(400, "the moon is full"), means)

    assert type(raised) is kind
    assert str(raised) == "TensorDock, create instance: the moon is full (400)"
