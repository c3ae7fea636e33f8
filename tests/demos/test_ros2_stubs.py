"""The stubs that the ROS 2 node is typed with: fields and constants of messages are those of their definitions."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from masklet.runtime.sinks.ros_messages import ros_types
from rosbags.interfaces import Nodetype

STUBS = Path(__file__).parents[2] / ".types" / "ros2"
FILES = sorted(STUBS.glob("*/msg.pyi"))
# How rosidl_generator_py maps basic types to Python's.
BASIC = {"bool": "bool", "byte": "bytes", "char": "int", "float32": "float", "float64": "float", "string": "str"}
WHOLE = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


def in_python(kind: Any) -> str:
    """The annotation of a field of this type, with the packages of messages."""
    node, detail = kind
    if node == Nodetype.NAME:
        return str(detail).replace("/msg/", ".")
    if node == Nodetype.BASE:
        return "int" if detail[0] in WHOLE else BASIC[detail[0]]
    element, _ = detail
    if element[0] == Nodetype.NAME or element[1][0] in ("string", "bool", "byte"):
        return f"list[{in_python(element)}]"
    return f"NDArray[{element[1][0]}]" if node == Nodetype.ARRAY else f"array[{in_python(element)}]"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_messages_are_as_they_are_defined(path: Path) -> None:
    package, module = path.parent.name, ast.parse(path.read_text())
    messages = [one for one in module.body if isinstance(one, ast.ClassDef)]
    packages = {message.name: package for message in messages}
    for one in module.body:
        if isinstance(one, ast.ImportFrom) and (one.module or "").endswith(".msg"):
            packages |= {alias.name: (one.module or "").removesuffix(".msg") for alias in one.names}

    def in_full(annotation: ast.expr) -> str:
        names = re.sub(r"\w+", lambda found: f"{packages.get(found[0], '')}.{found[0]}", ast.unparse(annotation))
        return re.sub(r"(?<!\w)\.", "", names)

    for message in messages:
        constants, fields = ros_types().fielddefs[f"{package}/msg/{message.name}"]
        wanted = [(name, f"ClassVar[{in_python((Nodetype.BASE, (kind, 0)))}]") for name, kind, _ in constants]
        wanted += [(name, in_python(kind)) for name, kind in fields]
        lines = [line for line in message.body if isinstance(line, ast.AnnAssign)]
        assert [(ast.unparse(line.target), in_full(line.annotation)) for line in lines] == wanted
        assert len(lines) == len(message.body)


def test_there_are_stubs() -> None:
    assert {"sensor_msgs", "std_msgs", "vision_msgs", "geometry_msgs", "diagnostic_msgs", "rcl_interfaces"} <= {
        path.parent.name for path in FILES
    }
