"""Which packages the extras need here: requirements for other versions of Python do not count."""

import sys

import pytest
from masklet.runtime import extras as module
from masklet.runtime.extras import extras

LINES = [
    "numpy>=2.0",
    "tomli>=2; python_version < '3.11'",
    'onnxruntime>=1.31; python_version >= "3.11" and extra == "cpu"',
    'onnxruntime>=1.23; python_version < "3.11" and extra == "cpu"',
    'lark>=1; python_version < "3.11" and extra == "old"',
    'ruff>=0.12; extra == "dev"',
]


@pytest.mark.parametrize(
    ("minor", "wanted"),
    [
        (10, {"": ("numpy", "tomli"), "cpu": ("onnxruntime",), "old": ("lark",)}),
        (11, {"": ("numpy",), "cpu": ("onnxruntime",)}),
        (13, {"": ("numpy",), "cpu": ("onnxruntime",)}),
    ],
)
def test_requirements_of_another_python_do_not_count(
    monkeypatch: pytest.MonkeyPatch, minor: int, wanted: dict[str, tuple[str, ...]]
) -> None:
    monkeypatch.setattr(module, "_requirements", lambda: LINES)
    monkeypatch.setattr(sys, "version_info", (3, minor, 0, "final", 0))
    assert extras() == wanted
