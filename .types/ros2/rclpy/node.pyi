from collections.abc import Callable
from typing import Any, TypeVar

from rcl_interfaces.msg import SetParametersResult
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.service import Service
from rclpy.subscription import Subscription

_Message = TypeVar("_Message")
_Response = TypeVar("_Response")

class Node:
    def __init__(self, node_name: str) -> None: ...
    def declare_parameter(self, name: str, value: Any = None) -> Parameter: ...
    def add_on_set_parameters_callback(
        self, callback: Callable[[list[Parameter]], SetParametersResult]
    ) -> None: ...
    def create_publisher(
        self, msg_type: type[_Message], topic: str, qos_profile: QoSProfile | int
    ) -> Publisher[_Message]: ...
    def create_subscription(
        self,
        msg_type: type[_Message],
        topic: str,
        callback: Callable[[_Message], None],
        qos_profile: QoSProfile | int,
    ) -> Subscription: ...
    def create_service(
        self,
        srv_type: type,
        srv_name: str,
        callback: Callable[[Any, _Response], _Response],
    ) -> Service: ...
    def get_logger(self) -> RcutilsLogger: ...
    def destroy_node(self) -> None: ...
