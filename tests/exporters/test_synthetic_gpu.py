from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warpgauge.exporters.synthetic.gpu import H100, IDLE, Gpu, Kernel, Work

KERNEL = Kernel(sm=0.9, tensor=0.5, dram=0.4, occupancy=0.25, power=0.8, memory_bound=0.2)
HEAVY = Kernel(sm=0.9, tensor=0.5, dram=0.4, occupancy=0.25, power=1.1, memory_bound=0.2)
BUSY = Work(KERNEL, compute=0.95, communication=0.04, memory_bytes=6e10, processes=1)
HEAVY_BUSY = BUSY._replace(kernel=HEAVY)

ratios = st.floats(0.0, 1.0)
kernels = st.builds(
    Kernel, sm=ratios, tensor=ratios, dram=ratios, occupancy=ratios, power=st.floats(0.0, 1.5), memory_bound=ratios
)
works = st.builds(
    Work,
    kernels,
    compute=ratios,
    communication=ratios,
    memory_bytes=st.floats(0.0, 8e10),
    processes=st.integers(0, 3),
    pcie_transmit_bytes=st.floats(0.0, 1e11),
    pcie_receive_bytes=st.floats(0.0, 1e11),
    link_bytes=st.floats(0.0, 1e12),
)
lives = st.lists(st.tuples(st.floats(0.1, 10.0), works, st.floats(0.3, 1.0), st.floats(1.0, 4.0)), max_size=25)


def new_gpu(seed: int = 7) -> Gpu:
    return Gpu(uuid="GPU-1", index=0, random=Random(seed), inlet_celsius=25.0)


def run(gpu: Gpu, work: Work, seconds: float, step: float = 5.0) -> Gpu:
    for _ in range(round(seconds / step)):
        gpu.advance(step, work)
    return gpu


def counters(gpu: Gpu) -> list[float]:
    return [
        gpu.energy_joules,
        gpu.pcie_transmit_bytes,
        gpu.pcie_receive_bytes,
        gpu.link_transmit_bytes,
        gpu.link_receive_bytes,
        float(gpu.corrected_errors_aggregate),
        *gpu.throttle_seconds.values(),
    ]


@settings(max_examples=60, deadline=None)
@given(lives)
def test_counters_never_fall_and_energy_is_the_integral_of_power(life):
    gpu = new_gpu()
    first, spent = gpu.energy_joules, 0.0
    for seconds, work, ceiling, cooling in life:
        before = counters(gpu)
        gpu.clock_ceiling, gpu.cooling_ratio = ceiling, cooling
        gpu.advance(seconds, work)
        spent += gpu.power_watts * seconds
        assert all(now >= then for now, then in zip(counters(gpu), before, strict=True))
    assert gpu.energy_joules - first == pytest.approx(spent, rel=1e-6, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(lives)
def test_ratios_stay_between_0_and_1_and_power_below_the_limit(life):
    gpu = new_gpu()
    for seconds, work, ceiling, cooling in life:
        gpu.clock_ceiling, gpu.cooling_ratio = ceiling, cooling
        gpu.advance(seconds, work)
        activity = (
            gpu.engine_active_ratio,
            gpu.sm_active_ratio,
            gpu.occupancy_ratio,
            gpu.tensor_active_ratio,
            gpu.dram_active_ratio,
            gpu.clock_ratio,
        )
        assert all(0.0 <= value <= 1.0 for value in activity)
        assert 0.0 < gpu.power_watts <= H100.power_limit_watts + 1e-6


@settings(max_examples=60, deadline=None)
@given(lives)
def test_throttle_time_never_passes_the_time_that_went_by(life):
    gpu = new_gpu()
    for seconds, work, ceiling, cooling in life:
        before = dict(gpu.throttle_seconds)
        gpu.clock_ceiling, gpu.cooling_ratio = ceiling, cooling
        gpu.advance(seconds, work)
        assert all(gpu.throttle_seconds[name] - then <= seconds + 1e-9 for name, then in before.items())


def test_used_free_and_reserved_memory_make_up_the_total():
    gpu = run(new_gpu(), BUSY, 10.0)
    assert (
        gpu.memory_used_bytes + gpu.memory_free_bytes + gpu.board.memory_reserved_bytes == gpu.board.memory_total_bytes
    )


def test_more_load_draws_more_power():
    light = BUSY._replace(compute=0.4)
    assert run(new_gpu(), light, 60.0).power_watts < run(new_gpu(), BUSY, 60.0).power_watts


def test_temperature_follows_power_with_its_time_constant():
    gpu = run(new_gpu(), IDLE, 600.0)
    cold = gpu.core_celsius
    run(gpu, BUSY, H100.time_constant_seconds, step=1.0)
    after_one = gpu.core_celsius
    warm = run(gpu, BUSY, 600.0).core_celsius
    assert (after_one - cold) / (warm - cold) == pytest.approx(0.63, abs=0.04)


def test_a_warmer_inlet_makes_a_warmer_device():
    warmer = Gpu(uuid="GPU-1", index=0, random=Random(7), inlet_celsius=30.0)
    assert run(warmer, BUSY, 300.0).core_celsius - run(new_gpu(), BUSY, 300.0).core_celsius == pytest.approx(
        5.0, abs=0.1
    )


def test_a_load_beyond_the_power_limit_lowers_the_clock_and_names_the_power_cap():
    gpu = run(new_gpu(), HEAVY_BUSY, 60.0)
    assert gpu.power_watts == pytest.approx(H100.power_limit_watts, rel=0.01)
    assert 0.85 < gpu.mean_clock_ratio < 0.99
    assert gpu.reasons == {"sw_power_cap"}


def test_a_sound_device_is_neither_hot_nor_throttled_by_heat():
    gpu = run(new_gpu(), HEAVY_BUSY, 900.0)
    assert 55.0 < gpu.core_celsius < 72.0
    assert gpu.throttle_seconds["sw_thermal"] == gpu.throttle_seconds["hw_thermal"] == 0.0


def test_a_silent_clock_ceiling_leaves_no_throttle_reason_and_a_cooler_device():
    gpu, sound = new_gpu(), new_gpu()
    gpu.clock_ceiling = 0.6
    run(gpu, BUSY, 300.0)
    run(sound, BUSY, 300.0)
    assert gpu.sm_hertz == pytest.approx(0.6 * H100.sm_max_hertz, abs=H100.clock_step_hertz)
    assert gpu.reasons == frozenset()
    assert gpu.core_celsius < sound.core_celsius - 5.0


def test_failing_cooling_heats_the_device_until_heat_takes_its_clocks():
    gpu = new_gpu()
    gpu.cooling_ratio = 2.8
    run(gpu, BUSY, 900.0, step=1.0)
    assert gpu.core_celsius == pytest.approx(H100.full_clocks_celsius, abs=2.5)
    assert "sw_thermal" in gpu.reasons
    assert gpu.mean_clock_ratio < 0.9
    assert gpu.core_celsius < H100.shutdown_celsius


def test_the_hardware_halves_the_clocks_at_the_slowdown_temperature():
    gpu = new_gpu()
    gpu.core_celsius = H100.slowdown_celsius + 3.0
    gpu.advance(1.0, BUSY)
    gpu.advance(1.0, BUSY)
    assert {"hw_slowdown", "hw_thermal"} <= gpu.reasons
    assert gpu.mean_clock_ratio <= 0.5
    assert gpu.throttle_seconds["hw_thermal"] > 0.0


def test_clocks_come_back_when_the_cooling_does():
    gpu = new_gpu()
    gpu.cooling_ratio = 2.8
    run(gpu, BUSY, 600.0, step=1.0)
    gpu.cooling_ratio = 1.0
    run(gpu, BUSY, 600.0)
    assert gpu.reasons == frozenset()
    assert gpu.mean_clock_ratio == 1.0


def test_a_slower_clock_makes_kernels_longer_but_not_their_memory_share():
    gpu = new_gpu()
    gpu.clock_ceiling = 0.5
    run(gpu, BUSY, 60.0)
    assert gpu.slowdown_ratio == pytest.approx(0.2 + 0.8 / 0.5)


def test_an_idle_device_says_so_and_drops_its_clocks():
    gpu = run(new_gpu(), IDLE, 300.0)
    assert gpu.reasons == {"idle"}
    assert gpu.sm_hertz == H100.sm_idle_hertz
    assert gpu.power_watts == pytest.approx(H100.idle_watts)


def test_a_held_but_idle_device_keeps_its_clocks_and_draws_a_little_more():
    gpu = run(new_gpu(), BUSY._replace(compute=0.0, communication=0.0), 300.0)
    assert gpu.reasons == {"idle"}
    assert gpu.sm_hertz == H100.sm_max_hertz
    assert gpu.power_watts == pytest.approx(H100.idle_watts + H100.context_watts)
