"""Streams that run, and the app containers behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulator.machines.wolf.config import Client


@dataclass(slots=True)
class StreamSession:
    """One client that plays one app. Its id is the client's."""

    client: Client
    app: dict[str, Any]
    app_id: str
    client_ip: str
    width: int
    height: int
    refresh_rate: int
    home: str  # the app's home folder, as the host sees it
    container: str | None = None
    paused: bool = False

    @property
    def id(self) -> str:
        return self.client.id

    def described(self, *, numeric_ids: bool) -> dict[str, Any]:
        """With the stream's keys, as Wolf tells them."""
        return {
            "app_id": self.app_id,
            "client_id": int(self.id) if numeric_ids else self.id,
            "client_ip": self.client_ip,
            "aes_key": "0" * 32,
            "aes_iv": "1",
            "rtsp_fake_ip": "127.0.0.2",
            "video_width": self.width,
            "video_height": self.height,
            "video_refresh_rate": self.refresh_rate,
            "audio_channel_count": 2,
            "client_settings": self.client.settings,
        }


def container_name(app: dict[str, Any], session_id: str) -> str:
    return f"{app['runner']['name']}_{session_id}"
