"""Help and the runtime start without what they do not use: nothing heavy is imported before it is needed."""

import subprocess
import sys

import pytest

NEVER = "torch transformers onnx onnxruntime openvino tritonclient ray av gi starlette mcap rosbags rich.progress"
HEAVY = f"numpy cv2 pycocotools PIL {NEVER}"


@pytest.mark.parametrize(
    ("code", "left_out"),
    [
        ("from masklet.runtime.cli.main import app; app()", HEAVY),
        ("import masklet.runtime", NEVER),
    ],
    ids=["help", "runtime"],
)
def test_nothing_heavy_is_imported(code: str, left_out: str) -> None:
    loaded = f"{code}; import sys; print(*(name for name in {left_out.split()} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
