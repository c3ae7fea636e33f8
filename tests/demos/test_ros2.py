"""The ROS 2 node, with a stand-in for rclpy and messages of rosbags, which have the fields of ROS 2's own."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompts import Box, Points
from masklet.runtime.sinks.ros_messages import ros_types
from written_bags import raw

FOLDER = Path(__file__).parents[2] / "demos" / "ros2"
PACKAGES = ("sensor_msgs", "std_msgs", "geometry_msgs", "vision_msgs", "diagnostic_msgs")


class StandInNode:
    """What the node uses of rclpy.node.Node; remembers what was published and logged."""

    values: dict[str, Any] = {}  # noqa: RUF012 parameters, as a launch file gives them

    def __init__(self, name: str) -> None:
        self.name = name
        self.published: dict[str, list[Any]] = {}
        self.subscriptions: dict[str, Callable[[Any], None]] = {}
        self.qualities: dict[str, Any] = {}
        self.services: dict[str, Callable[[Any, Any], Any]] = {}
        self.logged: list[str] = []

    def declare_parameter(self, name: str, default: Any) -> Any:
        return SimpleNamespace(value=self.values.get(name, default))

    def create_publisher(self, kind: type, topic: str, depth: int) -> Any:
        def publish(message: Any) -> None:
            assert isinstance(message, kind)
            self.published.setdefault(topic, []).append(message)

        return SimpleNamespace(publish=publish)

    def create_subscription(self, kind: type, topic: str, heard: Callable[[Any], None], quality: Any) -> None:
        self.subscriptions[topic] = heard
        self.qualities[topic] = quality

    def create_service(self, kind: type, name: str, asked: Callable[[Any, Any], Any]) -> None:
        self.services[name] = asked

    def add_on_set_parameters_callback(self, decide: Callable[[list[Any]], Any]) -> None:
        self.decide = decide

    def get_logger(self) -> Any:
        return SimpleNamespace(info=self.logged.append, warning=self.logged.append, error=self.logged.append)

    def destroy_node(self) -> None: ...


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The node's module, with the stand-in in place of ROS 2."""
    monkeypatch.syspath_prepend(str(FOLDER))
    modules: dict[str, dict[str, Any]] = {
        "rclpy": {"init": lambda: None, "spin": lambda node: None, "try_shutdown": lambda: None},
        "rclpy.executors": {"ExternalShutdownException": type("ExternalShutdownException", (Exception,), {})},
        "rclpy.node": {"Node": StandInNode},
        "rclpy.parameter": {"Parameter": SimpleNamespace},
        "rclpy.qos": {"QoSProfile": SimpleNamespace, "ReliabilityPolicy": SimpleNamespace(BEST_EFFORT=2)},
        "rcl_interfaces": {},
        "std_srvs": {},
        "std_srvs.srv": {"Trigger": SimpleNamespace(Request=SimpleNamespace, Response=SimpleNamespace)},
        "rcl_interfaces.msg": {"SetParametersResult": SimpleNamespace},
    }
    for package in PACKAGES:
        names = [name for name in ros_types().types if name.startswith(f"{package}/msg/")]
        modules[package] = {}
        modules[f"{package}.msg"] = {name.rpartition("/")[2]: ros_types().types[name] for name in names}
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
        if "." in name:
            setattr(sys.modules[name.partition(".")[0]], name.rpartition(".")[2], module)
    yield importlib.import_module("masklet_node")
    for name in ("masklet_node", "prompt_text"):
        sys.modules.pop(name, None)


def camera(shift: int) -> Any:
    """A sensor_msgs/Image with a red square, in bgr8 with padded rows."""
    image = np.full((96, 128, 3), 90, np.uint8)
    image[20:60, 20 + shift : 60 + shift] = (40, 40, 220)
    return raw(image, "bgr8", 1_700_000_000_500_000_000 + shift, padding=8).message


def test_a_prompt_by_topic_is_tracked_and_published(ros: Any, trained_bundle: Path) -> None:
    StandInNode.values = {"bundle": str(trained_bundle)}
    node = ros.MaskletNode()
    assert set(node.subscriptions) == {"image", "~/prompt"}
    node.subscriptions["image"](camera(0))
    assert node.published["~/detections"][0].detections == []
    node.subscriptions["~/prompt"](SimpleNamespace(data="box 7:20,20,60,60"))
    for shift in (1, 2, 3):
        node.subscriptions["image"](camera(shift))
    found, ids = node.published["~/detections"][-1], node.published["~/ids"][-1]
    (detection,) = found.detections
    assert detection.id == "7"
    center = detection.bbox.center.position
    assert (center.x, center.y) == pytest.approx((43, 40), abs=4)
    assert ids.header.stamp == camera(3).header.stamp
    assert ids.header.frame_id == "camera"
    picture = np.frombuffer(ids.data, "<u2").reshape(ids.height, ids.width)
    assert set(np.unique(picture)) == {0, 7}
    assert picture[40, 43] == 7
    status = node.published["/diagnostics"][-1].status[0]
    assert {one.key: one.value for one in status.values}["visible"] == "1"
    node.subscriptions["~/prompt"](SimpleNamespace(data="remove 7"))
    node.subscriptions["image"](camera(4))
    assert node.published["~/detections"][-1].detections == []
    node.destroy_node()


def test_a_prompt_by_parameter_says_what_is_wrong(ros: Any, trained_bundle: Path) -> None:
    StandInNode.values = {"bundle": str(trained_bundle)}
    node = ros.MaskletNode()
    refused = node.decide([SimpleNamespace(name="prompt", value="box 1:nonsense")])
    assert not refused.successful
    assert "nonsense" in refused.reason
    assert node.decide([SimpleNamespace(name="prompt", value="point 1:40,40")]).successful
    node.on_image(camera(0))
    assert len(node.published["~/detections"][-1].detections) == 1
    broken = camera(0)
    broken.data = broken.data[:10]
    node.on_image(broken)
    node.on_prompt(SimpleNamespace(data="what"))
    assert "fewer bytes" in node.logged[-2]
    assert "expected point, negative, box, mask" in node.logged[-1]
    node.destroy_node()


def test_a_service_removes_every_object(ros: Any, trained_bundle: Path) -> None:
    StandInNode.values = {"bundle": str(trained_bundle)}
    node = ros.MaskletNode()
    for line in ("box 7:20,20,60,60", "point 9:80,80"):
        node.on_prompt(SimpleNamespace(data=line))
    node.on_image(camera(0))
    node.on_prompt(SimpleNamespace(data="point 3:5,5"))
    answers = [node.services["~/remove_all"](SimpleNamespace(), SimpleNamespace()) for _ in range(2)]
    assert [(one.success, one.message) for one in answers] == [
        (True, "removed 7, 9"),
        (True, "removed nothing: there was no object"),
    ]
    node.on_image(camera(1))
    assert node.published["~/detections"][-1].detections == []
    node.destroy_node()


def test_only_the_newest_image_waits(ros: Any, trained_bundle: Path) -> None:
    StandInNode.values = {"bundle": str(trained_bundle)}
    node = ros.MaskletNode()
    quality = node.qualities["image"]
    assert (quality.depth, quality.reliability) == (1, 2)
    node.destroy_node()


def test_prompts_that_came_before_an_image_add_up_in_their_order(ros: Any, trained_bundle: Path) -> None:
    StandInNode.values = {"bundle": str(trained_bundle), "prompt": "box 7:20,20,60,60"}
    node = ros.MaskletNode()
    for line in ("negative 7:90,90", "point 8:80,80", "remove 8", "remove 5", "point 5:40,40"):
        node.on_prompt(SimpleNamespace(data=line))
    given: dict[int, Any] = {}
    step = node._tracker.step
    node._tracker.step = lambda frame, prompts: step(frame, given.update(prompts) or prompts)
    node.on_image(camera(0))
    assert sorted(given) == [5, 7]
    box = given[7]
    assert isinstance(box, Box)
    assert (box.x0, box.y0, box.x1, box.y1) == (20, 20, 60, 60)
    assert box.points is not None
    assert box.points.xy.tolist() == [[90, 90]]
    node.destroy_node()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "bundle:=FOLDER"),
        ({"bundle": "/nowhere"}, "/nowhere"),
        ({"bundle": "/nowhere", "prompt": "box 1"}, "--box 1"),
        ({"bundle": "/nowhere", "prompt": "box 1:nonsense"}, "nonsense"),
    ],
)
def test_what_keeps_the_node_from_starting_is_one_line(ros: Any, values: dict[str, Any], said: str) -> None:
    StandInNode.values = values
    with pytest.raises(SystemExit) as ended:
        ros.main()
    assert str(ended.value).startswith("masklet: error: ")
    assert said in str(ended.value)


@pytest.mark.parametrize("sigterm", [False, True])
def test_it_ends_quietly(ros: Any, trained_bundle: Path, monkeypatch: pytest.MonkeyPatch, sigterm: bool) -> None:
    StandInNode.values = {"bundle": str(trained_bundle)}
    ended: list[str] = []

    def spin(node: Any) -> None:
        raise ros.ExternalShutdownException if sigterm else KeyboardInterrupt

    monkeypatch.setattr(ros.rclpy, "spin", spin)
    monkeypatch.setattr(ros.rclpy, "try_shutdown", lambda: ended.append("context"))
    monkeypatch.setattr(StandInNode, "destroy_node", lambda node: ended.append("node"))
    ros.main()
    assert ended == ["node", "context"]


def test_lines_of_prompts(ros: Any) -> None:
    parse = sys.modules["prompt_text"].parse_wish
    assert isinstance(parse("box 3:1,2,30,40").prompts[3], Box)
    assert isinstance(parse(" point 5,6 ").prompts[1], Points)
    assert parse("remove 4").removed == (4,)
    for bad in ("", "box", "remove x", "point 1@3:5,6", "circle 1:2,3"):
        with pytest.raises(PromptError):
            parse(bad)
