from dataclasses import dataclass

from builtin_interfaces.msg import Time

@dataclass(kw_only=True)
class Header:
    stamp: Time = ...
    frame_id: str = ...

@dataclass(kw_only=True)
class String:
    data: str = ...
