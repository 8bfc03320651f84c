"""The measured limits of the machine are plausible numbers."""

from tensorwright.device import cpu, peak


def test_peak_is_below_what_the_vector_width_allows_at_6_ghz() -> None:
    measured = peak.peak_flops(1)
    assert 1e8 < measured < 6e9 * 2 * 2 * cpu.describe().lanes * 1.5


def test_bandwidth_is_plausible() -> None:
    assert 1e8 < peak.read_bandwidth(1) < 1e12


def test_code_is_generated_for_every_instruction_set(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    for name in ("avx2", "baseline"):
        monkeypatch.setenv("TENSORWRIGHT_CPU", name)
        assert peak.peak_flops(1) > 1e8
