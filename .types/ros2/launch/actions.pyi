from collections.abc import Iterable

from launch.launch_description_entity import LaunchDescriptionEntity
from launch.substitution import Substitution

_Words = str | Substitution | Iterable[str | Substitution]

class DeclareLaunchArgument(LaunchDescriptionEntity):
    def __init__(self, name: str, *, default_value: _Words | None = None, description: str | None = None) -> None: ...

class ExecuteProcess(LaunchDescriptionEntity):
    def __init__(self, *, cmd: Iterable[_Words], output: str = "log") -> None: ...
