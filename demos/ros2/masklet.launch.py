"""Launches the node: ros2 launch masklet.launch.py bundle:=/opt/tiny.bundle image:=/camera/image_raw"""

import sys
from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.substitutions import LaunchConfiguration

HERE = Path(__file__).parent


def generate_launch_description() -> LaunchDescription:
    bundle, image = LaunchConfiguration("bundle"), LaunchConfiguration("image")
    node = [sys.executable, str(HERE / "masklet_node.py"), "--ros-args", "--params-file", str(HERE / "masklet.yaml")]
    return LaunchDescription(
        [
            DeclareLaunchArgument("bundle", description="Folder of a bundle."),
            DeclareLaunchArgument("image", default_value="/camera/image_raw", description="Topic of the images."),
            ExecuteProcess(cmd=[*node, "-p", ["bundle:=", bundle], "-r", ["image:=", image]], output="screen"),
        ]
    )
