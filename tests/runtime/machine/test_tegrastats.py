"""What is read from lines of several boards."""

import pytest
from masklet.runtime.machine.tegrastats import TegraStats, parse_tegrastats
from tegrastats_lines import (
    AGX_ORIN,
    NANO_JETPACK_4,
    ORIN_NANO,
    RECORDED_AGX_ORIN,
    RECORDED_AGX_ORIN_JETPACK_7,
    RECORDED_ORIN_NANO,
    RECORDED_ORIN_NANO_BUSY,
    THOR,
    THOR_JETPACK_7_0,
    XAVIER_JETPACK_4,
    XAVIER_JETPACK_5,
)


@pytest.mark.parametrize(
    ("line", "stats", "temperatures", "watts"),
    [
        (RECORDED_ORIN_NANO, TegraStats(2272, 7620, 0.0, None), {"tj": 56.656}, {"VDD_IN": 4.673, "VDD_SOC": 1.339}),
        (RECORDED_ORIN_NANO_BUSY, TegraStats(3595, 7607, 0.0, None), {"cpu": 51}, {"VDD_CPU_GPU_CV": 1.307}),
        (RECORDED_AGX_ORIN, TegraStats(13123, 62841, 0.0, None), {"soc1": 44.343}, {"VIN_SYS_5V0": 4.306}),
        (RECORDED_AGX_ORIN_JETPACK_7, TegraStats(20642, 62817, 0.12, 1300), {"gpu": 47.625}, {"VDD_GPU_SOC": 5.139}),
        (ORIN_NANO, TegraStats(2837, 7620, 0.97, 624), {"tj": 52.8, "soc2": 51.406}, {"VDD_IN": 5.432}),
        (AGX_ORIN, TegraStats(9000, 62841, 0.41, 305), {"tboard": 37.25}, {"VDD_GPU_SOC": 3.171, "NC": 0}),
        (THOR, TegraStats(4400, 125772, 0.0, 1575), {"soc012": 39.9}, {"VDD_GPU": 0, "VIN": 21}),
        (THOR_JETPACK_7_0, TegraStats(9000, 125772, None, 314), {"tj": 41.2}, {"VIN": 21}),
        (XAVIER_JETPACK_5, TegraStats(2546, 31918, 0.07, 318), {"CPU": 34.5, "PMIC": 50}, {"CPU": 0.932}),
        (XAVIER_JETPACK_4, TegraStats(2546, 31918, 0.12, None), {"AO": 33}, {"GPU": 0, "CPU": 0.311}),
        (NANO_JETPACK_4, TegraStats(1234, 3964, 0.99, 921), {"thermal": 46.75}, {"POM_5V_IN": 2.532}),
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
