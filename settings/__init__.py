"""Every setting of the service, parsed once.

Only the composition root (server.py, composition/, safety.py) imports this package; everything else is passed values.
A setting is a field of the class for its area, in a file of that name; `loading.py` puts the classes together.
"""

from settings.gateway import Environment
from settings.loading import Settings, SettingsError, load_settings, setting_faults
from settings.network import is_loopback
from settings.state import DATABASE_NAME, database_in

__all__ = [
    "DATABASE_NAME",
    "Environment",
    "Settings",
    "SettingsError",
    "database_in",
    "is_loopback",
    "load_settings",
    "setting_faults",
]
