from collections.abc import Iterable

from launch.launch_description_entity import LaunchDescriptionEntity

class LaunchDescription(LaunchDescriptionEntity):
    def __init__(self, initial_entities: Iterable[LaunchDescriptionEntity] | None = None) -> None: ...
