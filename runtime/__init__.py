"""The runtime: bundles, sessions, prompts, memory, tracking. numpy, OpenCV and an inference engine; never torch."""
