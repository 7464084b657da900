"""Warnings for the player, added to a launch's record while it is running."""

from __future__ import annotations

from typing import Final

from errors import ConflictError
from models.database import Database
from models.launches import OPEN, Launch

_TRIES: Final = 5


async def add_warning(db: Database, launch_id: str, text: str) -> None:
    """Add a sentence to the launch's warning, once even if called repeatedly.

    A launch that has ended keeps its own warning. Raises ConflictError if other writers keep changing it.
    """
    for _ in range(_TRIES):
        launch = await db.get(Launch, launch_id)
        if launch is None or launch.status not in OPEN or text in (launch.warning or ""):
            return
        warning = text if launch.warning is None else f"{launch.warning}. {text}"
        unchanged = {"_id": launch_id, "status": {"$in": list(OPEN)}, "warning": launch.warning}
        if await db.update(Launch, unchanged, {"$set": {"warning": warning}}) is not None:
            return
    raise ConflictError("the launch's warning keeps being changed by other writers")
