"""A ROS 2 node that tracks prompted objects in an image topic.

    python3 masklet_node.py --ros-args -p bundle:=/opt/tiny.bundle -r image:=/camera/image_raw

Subscribes:  image      sensor_msgs/Image, the newest only
             ~/prompt   std_msgs/String: "box 1:480,200,700,520", "point 2:480,270", "negative 1:500,300", "remove 2"
Publishes:   ~/ids         sensor_msgs/Image, mono16: the id of the object at each pixel
             ~/detections  vision_msgs/Detection2DArray
             /diagnostics  diagnostic_msgs/DiagnosticArray: latency, objects that are visible
Serves:      ~/remove_all  std_srvs/srv/Trigger: removes every object, and says which
Parameters:  bundle, backend, memory, and prompt, which does what ~/prompt does and answers with what is wrong:
             ros2 param set /masklet prompt "box 1:480,200,700,520", or the service /masklet/set_parameters
"""

import sys
import time
from array import array

import geometry_msgs.msg
import rclpy
import vision_msgs.msg
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import BundleError, MaskletError
from masklet.runtime.pixels.id_image import id_image
from masklet.runtime.prompts.prompts import Prompt, merge
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.ros_messages import detections_message
from masklet.runtime.sources.bags.images import raw_rgb
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.tracking.video_tracker import VideoTracker
from prompt_text import Wish, parse_wish
from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2DArray

# What detections are made of.
VISION = (
    "BoundingBox2D",
    "Detection2D",
    "Detection2DArray",
    "ObjectHypothesis",
    "ObjectHypothesisWithPose",
    "Point2D",
    "Pose2D",
)
GEOMETRY = ("Point", "Pose", "PoseWithCovariance", "Quaternion")
TYPES = {
    **{f"vision_msgs/msg/{name}": getattr(vision_msgs.msg, name) for name in VISION},
    **{f"geometry_msgs/msg/{name}": getattr(geometry_msgs.msg, name) for name in GEOMETRY},
}

# Images that came while one was tracked are dropped, whether the camera's driver is reliable or not.
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class MaskletNode(Node):
    """The node; a prompt applies to the next image. An image that cannot be used is logged and left out.

    Raises MaskletError.
    """

    def __init__(self) -> None:
        super().__init__("masklet")
        folder = self.declare_parameter("bundle", "").value
        if not folder:
            raise BundleError("the parameter bundle is missing; give -p bundle:=FOLDER")
        prompt = self.declare_parameter("prompt", "").value
        self._wishes = [parse_wish(prompt)] if prompt else []
        bundle = Bundle.load(folder)
        backend = self.declare_parameter("backend", "onnxruntime").value
        memory = self.declare_parameter("memory", "").value
        self._sessions = BackendChoice(backend).sessions(bundle, self.on_backend)
        self._tracker = VideoTracker(self._sessions, memory=memory or None)
        self._count = 0
        self._ids = self.create_publisher(Image, "~/ids", 1)
        self._detections = self.create_publisher(Detection2DArray, "~/detections", 1)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_subscription(Image, "image", self.on_image, NEWEST)
        self.create_subscription(String, "~/prompt", self.on_prompt, 10)
        self.create_service(Trigger, "~/remove_all", self.on_remove_all)
        self.add_on_set_parameters_callback(self.on_parameters)

    def on_backend(self, line: str) -> None:
        """Log what runs the stages."""
        self.get_logger().info(line)

    def on_prompt(self, message: String) -> None:
        """Keep a prompt for the next image."""
        try:
            self._wishes.append(parse_wish(message.data))
        except MaskletError as error:
            self.get_logger().error(str(error))

    def on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Keep a prompt that was set as a parameter; refuse one that cannot be read."""
        try:
            wishes = [parse_wish(one.value) for one in parameters if one.name == "prompt" and one.value]
        except MaskletError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._wishes += wishes
        return SetParametersResult(successful=True)

    def on_remove_all(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Remove every object, and forget prompts that wait for an image."""
        removed = list(self._tracker.object_ids)
        for object_id in removed:
            self._tracker.remove(object_id)
        self._wishes = []
        response.success = True
        response.message = f"removed {', '.join(map(str, removed)) or 'nothing: there was no object'}"
        return response

    def on_image(self, message: Image) -> None:
        """Track to this image, and publish what was found."""
        began_s = time.perf_counter()
        wishes, self._wishes = self._wishes, []
        try:
            image = raw_rgb("image", message)
            if image is None:
                self.get_logger().warning("an image has fewer bytes than it states; it is left out")
                return
            stamp = message.header.stamp
            frame = Frame(self._count, stamp.sec + stamp.nanosec / 1e9, image)
            result = self._step(frame, wishes)
        except MaskletError as error:
            self.get_logger().error(str(error))
            return
        self._count += 1
        self._publish(result, message.header, time.perf_counter() - began_s)

    def _step(self, frame: Frame, wishes: list[Wish]) -> FrameResult:
        """What was asked for since the last image, in its order, and the next step."""
        prompts: dict[int, Prompt] = {}
        for wish in wishes:
            for object_id in wish.removed:
                prompts.pop(object_id, None)
                if object_id in self._tracker.object_ids:
                    self._tracker.remove(object_id)
            for object_id, prompt in wish.prompts.items():
                prompts[object_id] = merge(prompts[object_id], prompt) if object_id in prompts else prompt
        return self._tracker.step(frame, prompts)

    def _publish(self, result: FrameResult, header: Header, seconds: float) -> None:
        ids = id_image(result).astype("<u2")
        height, width = ids.shape
        data = array("B", ids.tobytes())
        self._ids.publish(
            Image(
                header=header, height=height, width=width, encoding="mono16", is_bigendian=0, step=2 * width, data=data
            )
        )
        self._detections.publish(detections_message(result, header, TYPES))
        seen = int((result.boxes_xyxy[:, 2] > result.boxes_xyxy[:, 0]).sum())
        values = {"latency_ms": f"{seconds * 1000:.1f}", "objects": str(len(result)), "visible": str(seen)}
        lost = len(result) > 0 and seen == 0
        status = DiagnosticStatus(
            level=DiagnosticStatus.WARN if lost else DiagnosticStatus.OK,
            name="masklet: tracking",
            hardware_id="",
            message="no object is visible" if lost else "",
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        self._diagnostics.publish(DiagnosticArray(header=header, status=[status]))

    def destroy_node(self) -> None:
        self._sessions.close()
        super().destroy_node()


def main() -> None:
    rclpy.init()
    try:
        node = MaskletNode()
    except MaskletError as error:
        sys.exit(f"masklet: error: {error}")
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):  # by Ctrl-C; by SIGTERM, as of a launch file
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
