from __future__ import annotations

import pytest

from composition.identity import claim_database, identity_of, restrict
from errors import ProviderBusyError
from models.database import Database
from models.deployment import SIMULATED, UNKNOWN, Identity
from settings import SettingsError, load_settings

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")


async def organization() -> str | None:
    return "org-1"


async def no_answer() -> str | None:
    raise ProviderBusyError("500")


async def test_an_identity_is_a_name_and_the_ids_of_accounts_and_has_no_key() -> None:
    settings = load_settings(
        deployment="eu-2", tensordock_api_token="secret-token", gcp_project_id="gamer-prod", gcs_bucket_name="games"
    )

    assert await identity_of(settings, organization) == Identity(
        "eu-2", {"TENSORDOCK": "org-1", "CLOUDYPAD": "gamer-prod"}
    )


async def test_a_cloud_on_this_machine_is_a_simulated_account() -> None:
    settings = load_settings(
        tensordock_api_token="t",
        tensordock_api_url="http://127.0.0.1:8790/api",
        gcp_project_id="simulated-project",
        gcs_endpoint_url="http://127.0.0.1:8790",
    )

    assert await identity_of(settings, no_answer) == Identity("main", {"TENSORDOCK": SIMULATED, "CLOUDYPAD": SIMULATED})


async def test_an_account_that_cannot_be_asked_for_is_real_and_unknown() -> None:
    settings = load_settings(tensordock_api_token="t")

    assert await identity_of(settings, no_answer) == Identity("main", {"TENSORDOCK": UNKNOWN})


@pytest.mark.parametrize(
    ("identity", "embedded", "line"),
    [
        (
            Identity("staging", {}),
            False,
            "DEPLOYMENT: the database gamer belongs to the deployment main, and this is staging. Use another database, "
            "or take this one over permanently with --adopt-database. Example: DEPLOYMENT=main",
        ),
        (
            Identity("main", {"TENSORDOCK": SIMULATED}),
            False,
            "TENSORDOCK_API_TOKEN: the database gamer holds machines of TensorDock's organization org-1, and this is a "
            "simulated TensorDock. Use another database, or --adopt-database when those machines are gone. "
            "Example: MONGODB_DATABASE=gamer-2",
        ),
        (
            Identity("main", {"CLOUDYPAD": "gamer-prod"}),
            True,
            "GCP_PROJECT_ID: the embedded database holds machines of a simulated Google Cloud, and this is the Google "
            "Cloud project gamer-prod. Use another folder, or --adopt-database when those machines are gone. "
            "Example: DATA_DIR=.data-2",
        ),
    ],
)
async def test_a_foreign_database_stops_the_start_with_its_cure(
    db: Database, identity: Identity, embedded: bool, line: str
) -> None:
    settings = load_settings()
    recorded = Identity("main", {"TENSORDOCK": "org-1", "CLOUDYPAD": SIMULATED})
    await claim_database(db, settings, recorded, adopt=False, embedded=False)
    restrict(db)

    with pytest.raises(SettingsError) as refused:
        await claim_database(db, settings, identity, adopt=False, embedded=embedded)

    assert str(refused.value) == line
    await claim_database(db, settings, identity, adopt=True, embedded=embedded)
    await db.ping()
