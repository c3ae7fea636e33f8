"""Stages on a server of the KServe V2 protocol: Triton, MLServer, OpenVINO Model Server, KServe's own."""
