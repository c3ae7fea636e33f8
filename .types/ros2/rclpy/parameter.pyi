from typing import Any

class Parameter:
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> Any: ...
