"""Stage export: torch checkpoints to one ONNX graph a stage. torch and transformers are imported here alone."""
