"""Which meters are taken where they are, by zeus's own classes over devices that are not here."""

from types import SimpleNamespace

import pytest
import torch
import zeus.device.cpu
import zeus.device.gpu
import zeus.device.soc
import zeus.monitor.energy
from zeus.device.cpu import rapl
from zeus.device.gpu.common import GPUs
from zeus.device.soc import apple
from zeus.device.soc.jetson import JetsonMeasurement

from frugal.measure.energy import Energy

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine without any meter, to which a test adds some; each of its counters grows by 1000 mJ with every reading."""
    for module, names in (
        (zeus.device.gpu, ("nvml_is_available", "amdsmi_is_available")),
        (zeus.device.cpu, ("rapl_is_available",)),
        (zeus.device.soc, ("apple_silicon_is_available", "jetson_is_available")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, lambda: False)
    for module, name in ((zeus.device.gpu, "_gpus"), (zeus.device.cpu, "_cpus"), (zeus.device.soc, "_soc")):
        monkeypatch.setattr(module, name, None)
    monkeypatch.setattr(zeus.monitor.energy, "sync_execution_fn", lambda *_, **__: None)

    def with_gpu(name):
        class OneGpu(GPUs):
            def __init__(self):
                self.millijoules = 0

            def __del__(self):
                pass

            @property
            def gpus(self):
                return [self]

            def supports_get_total_energy_consumption(self, index=0):
                return True

            def get_total_energy_consumption(self, index=0):
                self.millijoules += 1000
                return self.millijoules

        OneGpu.__name__ = name
        monkeypatch.setattr(zeus.device.gpu, "_gpus", OneGpu())

    def with_rapl(*zones):
        folder = tmp_path / "rapl"
        for zone, name in zones:
            place = folder / zone
            place.mkdir(parents=True)
            for file, content in (("name", name), ("energy_uj", "5"), ("max_energy_range_uj", "1e12")):
                (place / file).write_text(content)
        monkeypatch.setattr(rapl, "RAPL_DIR", str(folder))
        monkeypatch.setattr(rapl, "rapl_is_available", lambda: True)
        monkeypatch.setattr(zeus.device.cpu, "rapl_is_available", lambda: True)
        readings = iter(range(0, 10**6, 1000))
        monkeypatch.setattr(rapl.RAPLFile, "read", lambda self: float(next(readings)))

    def with_chip(name, measured):
        chip = type(name, (), {})()
        chip.get_available_metrics = lambda: {key for key, value in vars(measured).items() if value is not None}
        chip.begin_window = lambda key, restart=False: None
        chip.end_window = lambda key: measured
        monkeypatch.setattr(zeus.device.soc, "_soc", chip)

    return SimpleNamespace(with_gpu=with_gpu, with_rapl=with_rapl, with_chip=with_chip)


def measured(device=CPU, host=True):
    energy = Energy(device, host)
    energy.start()
    energy.stop()
    return energy.joules, energy.source


def test_without_a_meter_joules_are_null_and_the_reason_names_each_part():
    joules, source = measured(CUDA)
    assert joules is None
    assert source.startswith("no meter on this machine: GPU: ")
    assert "; CPU: " in source


@pytest.mark.parametrize(("name", "by"), [("NVIDIAGPUs", "NVML"), ("AMDGPUs", "AMD SMI")])
def test_a_gpu_counts_where_the_run_uses_it(machine, name, by):
    machine.with_gpu(name)
    assert measured(CUDA) == (pytest.approx(1.0), f"zeus: GPU by {by}")
    assert measured(CPU)[0] is None


def test_cpu_and_dram_are_summed_and_named_and_the_platform_is_not_counted_twice(machine):
    machine.with_rapl(
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0/intel-rapl:0:0", "core"),
        ("intel-rapl:0/intel-rapl:0:1", "dram"),
        ("intel-rapl:1", "psys"),
    )
    joules, source = measured()
    assert source == "zeus: CPU by RAPL, DRAM by RAPL"
    assert joules == pytest.approx(2 * 2.0)  # two counters, two readings apart


def test_gpu_cpu_and_dram_are_three_parts(machine):
    machine.with_gpu("NVIDIAGPUs")
    machine.with_rapl(
        ("intel-rapl:0", "package-0"), ("intel-rapl:1", "package-1"), ("intel-rapl:1/intel-rapl:1:0", "dram")
    )
    assert measured(CUDA)[1] == "zeus: GPU by NVML, CPU by RAPL (2 packages), DRAM by RAPL"
    assert measured(CUDA, host=False)[1] == "zeus: GPU by NVML"


def test_rapl_that_may_not_be_read_is_no_meter_and_says_so(machine, monkeypatch):
    machine.with_rapl(("intel-rapl:0", "package-0"))

    def refuse(*_):
        raise PermissionError("permission denied")

    monkeypatch.setattr(rapl, "RAPLFile", refuse)
    joules, source = measured()
    assert joules is None
    assert "CPU: permission denied" in source


def test_the_meters_of_an_apple_chip(machine):
    machine.with_chip("AppleSilicon", apple.AppleSiliconMeasurement(cpu_total_mj=3000, dram_mj=500, gpu_mj=70000))
    assert measured() == (pytest.approx(3.5), "zeus: CPU by Apple's chip, DRAM by Apple's chip")


def test_zeus_opens_an_apple_chip(monkeypatch):
    monitor = SimpleNamespace(
        get_cumulative_energy=lambda: apple.AppleSiliconMeasurement(cpu_total_mj=1),
        begin_window=lambda key, restart=False: None,
        end_window=lambda key: apple.AppleSiliconMeasurement(cpu_total_mj=2000),
    )
    monkeypatch.setattr(apple, "zeus_apple_silicon", SimpleNamespace(AppleEnergyMonitor=lambda: monitor))
    monkeypatch.setattr(zeus.device.soc, "apple_silicon_is_available", lambda: True)
    assert measured() == (pytest.approx(2.0), "zeus: CPU by Apple's chip")


@pytest.mark.parametrize(
    ("rails", "joules", "source"),
    [
        ({"cpu": 2e3, "gpu": 3e3, "total": 9e3}, 5.0, "zeus: GPU by Jetson, CPU by Jetson"),
        ({"total": 9e3}, 9.0, "zeus: board by Jetson"),
    ],
)
def test_the_rails_of_a_jetson(machine, rails, joules, source):
    machine.with_chip("Jetson", JetsonMeasurement(**{f"{rail}_energy_mj": mj for rail, mj in rails.items()}))
    assert measured(CUDA) == (pytest.approx(joules), source)


def test_a_meter_that_fails_ends_the_measurement_and_not_the_training(machine, monkeypatch):
    machine.with_gpu("NVIDIAGPUs")
    energy = Energy(CUDA)
    energy.start()
    energy.stop()
    monkeypatch.setattr(zeus.device.gpu._gpus, "get_total_energy_consumption", lambda *_: 1 / 0)
    energy.start()
    energy.stop()
    assert (energy.joules, energy.source) == (
        None,
        "no meter: zeus failed to open a window (ZeroDivisionError: division by zero)",
    )


@pytest.mark.parametrize("before", [None, 7.0])
def test_a_run_that_goes_on_under_other_meters_has_no_joules(machine, before):
    machine.with_gpu("NVIDIAGPUs")
    energy = Energy(CUDA)
    energy.resume(
        {"joules": before, "source": "zeus: CPU by RAPL" if before else "no meter on this machine: CPU: none"}
    )
    assert energy.joules == before, "a finished run that is only written again keeps what it has"
    energy.start()
    energy.stop()
    assert energy.joules is None
    assert "resumed under other meters" in energy.source


def test_a_run_that_goes_on_under_the_same_meters_adds_to_its_joules(machine):
    machine.with_gpu("NVIDIAGPUs")
    energy = Energy(CUDA)
    energy.resume({"joules": 7.0, "source": "zeus: GPU by NVML"})
    energy.start()
    energy.stop()
    assert energy.joules == pytest.approx(8.0)


def test_the_ranks_of_a_run_have_joules_together_or_none(machine):
    machine.with_gpu("NVIDIAGPUs")
    energy, metered = Energy(CUDA), {"joules": 2.0, "source": "zeus: GPU by NVML"}
    assert energy.together([metered, metered]) == 4.0
    only_cpu = {"joules": 3.0, "source": "zeus: CPU by RAPL"}
    assert energy.together([only_cpu, {"joules": None, "source": "no meter on this machine: GPU: none"}]) == 3.0
    assert energy.together([metered, {"joules": None, "source": "no meter: it broke"}]) is None
    assert energy.source == "no meter: it broke"
