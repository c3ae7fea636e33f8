"""OpenVINO: sessions on Intel's CPUs, integrated GPUs and NPUs, and on Arm CPUs."""
