"""Kinds of requests to TensorDock. Each has its own rate and its own rows in the error table."""

from __future__ import annotations

from enum import StrEnum


class Operation(StrEnum):
    LIST_HOSTNODES = "list hostnodes"
    LIST_LOCATIONS = "list locations"
    LIST_INSTANCES = "list instances"
    GET_INSTANCE = "get instance"
    CREATE = "create instance"
    DELETE = "delete instance"
    START = "start instance"
    STOP = "stop instance"
    STOP_AND_FREE = "stop instance and free its GPU"
    READ_BALANCE = "read balance"
    TEST_CREDENTIALS = "test credentials"
    READ_ACCOUNT = "read account"
