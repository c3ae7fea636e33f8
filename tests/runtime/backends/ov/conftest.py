"""OpenVINO's tests skip where it is not installed, and leave the user's cache alone."""

from pathlib import Path

import pytest

pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def _own_cache(user_cache: Path) -> None:
    pass
