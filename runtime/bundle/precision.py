"""The precisions of stages."""

from masklet.runtime.str_enum import StrEnum


class Precision(StrEnum):
    """The precision of a stage: of its layers, and of what lies between them where that differs."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    INT8_FP16 = "int8-fp16"
    BF16 = "bf16"
    INT8_BF16 = "int8-bf16"

    @property
    def int8_layers(self) -> bool:
        """Whether layers are quantised."""
        return self in (Precision.INT8, Precision.INT8_FP16, Precision.INT8_BF16)

    @property
    def fp16_tensors(self) -> bool:
        """Whether the tensors between layers are FP16."""
        return self in (Precision.FP16, Precision.INT8_FP16)

    @property
    def bf16_tensors(self) -> bool:
        """Whether the tensors between layers are bfloat16, which is not in the graph: a backend computes it so."""
        return self in (Precision.BF16, Precision.INT8_BF16)

    @property
    def graph(self) -> "Precision":
        """The precision of the graph that is computed so."""
        return {Precision.BF16: Precision.FP32, Precision.INT8_BF16: Precision.INT8}.get(self, self)

    @property
    def higher(self) -> "Precision":
        """The precision of what cannot be at this one: that of the tensors around a quantised layer, otherwise FP32."""
        return {Precision.INT8_FP16: Precision.FP16, Precision.INT8_BF16: Precision.BF16}.get(self, Precision.FP32)
