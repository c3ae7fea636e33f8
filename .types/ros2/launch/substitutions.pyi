from launch.substitution import Substitution

class LaunchConfiguration(Substitution):
    def __init__(self, variable_name: str) -> None: ...
