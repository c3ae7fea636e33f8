"""Lines of tegrastats of several boards.

Written after NVIDIA's documentation of each release, not recorded here: JetPack 6 on Orin, JetPack 7 on Thor, JetPack 5
and 4 on Xavier, whose sensors, rails and units differ.
"""

import pytest
from masklet.runtime.machine.tegrastats import TegraStats, parse_tegrastats

ORIN_NANO = (
    "11-25-2026 10:00:01 RAM 2837/7620MB (lfb 4x2MB) SWAP 12/3810MB (cached 0MB) "
    "CPU [12%@1510,8%@1510,0%@1510,100%@1510,off,off] EMC_FREQ 5%@2133 GR3D_FREQ 97%@[624] NVDEC off NVJPG off "
    "NVJPG1 off VIC off OFA off APE 200 cpu@52.3C soc2@51.406C soc0@50.937C gpu@51.875C tj@52.8C soc1@51.1C "
    "VDD_IN 5432mW/5200mW VDD_CPU_GPU_CV 1432mW/1200mW VDD_SOC 1500mW/1490mW"
)
AGX_ORIN = (
    "11-25-2026 10:00:01 RAM 9000/62841MB (lfb 10x4MB) SWAP 0/31420MB (cached 0MB) CPU [1%@729,0%@729,off,off] "
    "EMC_FREQ 0%@2133 GR3D_FREQ 41%@[305,306] NVENC off VIC off APE 174 cv0@-256C cpu@47.031C tboard@37.25C "
    "tdiode@39.5C tj@47.031C VDD_GPU_SOC 3171mW/3171mW VDD_CPU_CV 396mW/396mW VIN_SYS_5V0 3021mW/3021mW NC 0mW/0mW "
    "VDDQ_VDD2_1V8AO 302mW/302mW"
)
THOR = (
    "11-25-2026 10:00:01 RAM 4400/125772MB (lfb 63x4MB) SWAP 0/0MB (cached 0MB) CPU [0%@972,1%@972,0%@972] "
    "EMC_FREQ 0%@4266 GR3D_FREQ 0%@[1575,1574,1574] NVENC0_FREQ @1107 VIC off APE 300 cpu@40.093C tj@41.2C "
    "soc012@39.9C soc345@40.5C VDD_GPU 0mW/0mW VDD_CPU_SOC_MSS 3916mW/3916mW VIN_SYS_5V0 4000mW/4100mW "
    "VIN 21000mW/21000mW"
)
XAVIER_JETPACK_5 = (
    "11-25-2026 10:00:01 RAM 2546/31918MB (lfb 6772x4MB) SWAP 0/15959MB (cached 0MB) CPU [3%@1190,2%@1190] "
    "EMC_FREQ 0%@1331 GR3D_FREQ 7%@318 VIC_FREQ 0%@115 APE 150 AUX@33C CPU@34.5C thermal@33.4C AO@33C GPU@33C "
    "Tdiode@35.75C PMIC@50C Tboard@33C GPU 311mW/300mW CPU 932mW/900mW SOC 1088mW/1088mW CV 0mW/0mW SYS5V 1448mW/1448mW"
)
XAVIER_JETPACK_4 = (
    "RAM 2546/31918MB (lfb 6772x4MB) SWAP 0/15959MB (cached 0MB) CPU [3%@1190,2%@1190] EMC_FREQ 0% GR3D_FREQ 12% "
    "AO@33C GPU@33C CPU@34C GPU 0/0 CPU 311/311 SOC 932/932"
)


@pytest.mark.parametrize(
    ("line", "stats", "temperatures", "watts"),
    [
        (ORIN_NANO, TegraStats(2837, 7620, 0.97, 624), {"tj": 52.8, "soc2": 51.406}, {"VDD_IN": 5.432}),
        (AGX_ORIN, TegraStats(9000, 62841, 0.41, 305), {"tboard": 37.25}, {"VDD_GPU_SOC": 3.171, "NC": 0}),
        (THOR, TegraStats(4400, 125772, 0.0, 1575), {"soc012": 39.9}, {"VDD_GPU": 0, "VIN": 21}),
        (XAVIER_JETPACK_5, TegraStats(2546, 31918, 0.07, 318), {"CPU": 34.5, "PMIC": 50}, {"CPU": 0.932}),
        (XAVIER_JETPACK_4, TegraStats(2546, 31918, 0.12, None), {"AO": 33}, {"GPU": 0, "CPU": 0.311}),
    ],
)
def test_boards(line: str, stats: TegraStats, temperatures: dict[str, float], watts: dict[str, float]) -> None:
    found = parse_tegrastats(line)
    known = (found.ram_used_mb, found.ram_mb, found.gpu_load, found.gpu_mhz)
    assert known == (stats.ram_used_mb, stats.ram_mb, stats.gpu_load, stats.gpu_mhz)
    assert temperatures.items() <= found.temperatures_c.items()
    assert watts.items() <= found.watts.items()
    assert not {"RAM", "SWAP", "cv0"} & {*found.watts, *found.temperatures_c}


@pytest.mark.parametrize("line", ["", "no tegrastats here", "RAM x/yMB GR3D_FREQ off a@bC VDD mW/mW"])
def test_other_lines_give_nothing(line: str) -> None:
    assert parse_tegrastats(line) == TegraStats()
