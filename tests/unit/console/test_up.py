"""What `shipfeed up` tells a newcomer."""

from __future__ import annotations

import pytest

from console.commands.up import api_address
from services.notifier.settings import NotifierSettings


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("127.0.0.1", 8080, "http://127.0.0.1:8080/v1"),
        ("::1", 8080, "http://[::1]:8080/v1"),
        ("127.0.0.1", 0, ""),
    ],
)
def test_the_api_is_told_where_its_port_is_known(host: str, port: int, address: str) -> None:
    """A port that is free at the time stands in the log of the copy that took it."""
    assert address == api_address(NotifierSettings(http_host=host, http_port=port))
