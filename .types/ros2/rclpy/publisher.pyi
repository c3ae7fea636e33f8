from typing import Generic, TypeVar

_Message = TypeVar("_Message")

class Publisher(Generic[_Message]):
    def publish(self, msg: _Message) -> None: ...
