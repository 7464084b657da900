"""The tags of emulator images are resolved by the clock and on demand, by one worker of many."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from billing.workflows import ensure_schedule
    from launch.messages import ImageRefresh
    from streaming.emulator_images import EmulatorImages

REFRESH_IMAGES: Final = "RefreshImages"
_RETRY: Final = RetryPolicy(initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=5))


class ImageRefreshing:
    """The refresh as an activity."""

    def __init__(self, images: EmulatorImages) -> None:
        self._images = images

    @activity.defn(name="refresh_images")
    async def refresh_images(self, wanted: ImageRefresh) -> int:
        """Return how many images have a known digest. A registry that does not respond is recorded only."""
        if wanted.image is not None:
            return int((await self._images.refresh_one(wanted.image)).digest is not None)
        return sum(image.digest is not None for image in await self._images.refresh())


_ALL_IMAGES: Final = ImageRefresh()


@workflow.defn(name=REFRESH_IMAGES)
class RefreshImagesWorkflow:
    @workflow.run
    async def run(self, wanted: ImageRefresh = _ALL_IMAGES) -> int:
        return await workflow.execute_activity_method(
            ImageRefreshing.refresh_images,
            wanted,
            start_to_close_timeout=timedelta(minutes=10),
            schedule_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=timedelta(seconds=30),
            retry_policy=_RETRY,
        )


async def ensure_image_schedule(client: Client, task_queue: str, every: timedelta) -> None:
    """Create the schedule that refreshes at this interval, beginning now. Every worker may call it at every start."""
    await ensure_schedule(client, task_queue, REFRESH_IMAGES, every)
