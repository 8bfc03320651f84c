"""Descriptions of the machines that engines are compiled for. Data only: `device/` finds them out and uses them."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class CpuSpec:
    """A CPU as the kernel generators see it.

    name, features     LLVM's CPU name and feature string ("+avx2,-sse4a,..."), as its target machine takes them
    triple             LLVM target triple
    vector_bits        width of the widest vector register kernels use: 128, 256 or 512
    vector_registers   how many of those there are: 16 or 32
    fma                fused multiply-add exists
    l1, l2, l3         data cache sizes in bytes; l1 and l2 per core, l3 shared
    cores              cores this process may use
    """

    name: str
    features: str
    triple: str
    vector_bits: int
    vector_registers: int
    fma: bool
    l1: int = 32 << 10
    l2: int = 1 << 20
    l3: int = 16 << 20
    cores: int = 1

    @property
    def lanes(self) -> int:
        """float32 elements per vector register."""
        return self.vector_bits // 32

    @property
    def key(self) -> str:
        """What must be equal for machine code and timings to carry over."""
        return f"{self.triple}|{self.name}|{self.vector_bits}|{self.features}|{self.cores}"

    def to_json(self) -> dict:
        return asdict(self)
