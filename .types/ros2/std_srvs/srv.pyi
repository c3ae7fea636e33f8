from dataclasses import dataclass

class Trigger:
    @dataclass(kw_only=True)
    class Request: ...

    @dataclass(kw_only=True)
    class Response:
        success: bool = ...
        message: str = ...
