"""The precisions of stages."""

from masklet.runtime.str_enum import StrEnum


class Precision(StrEnum):
    """The precision of a stage: of its layers, and of what lies between them where that differs."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    INT8_FP16 = "int8-fp16"

    @property
    def int8_layers(self) -> bool:
        """Whether layers are quantised."""
        return self in (Precision.INT8, Precision.INT8_FP16)

    @property
    def fp16_tensors(self) -> bool:
        """Whether the tensors between layers are FP16."""
        return self in (Precision.FP16, Precision.INT8_FP16)

    @property
    def higher(self) -> "Precision":
        """The precision of what cannot be at this one: that of the tensors around a quantised layer, otherwise FP32."""
        return Precision.FP16 if self is Precision.INT8_FP16 else Precision.FP32
