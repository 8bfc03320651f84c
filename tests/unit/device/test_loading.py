"""Native code that threads ask for at the same time is loaded once, and stays."""

import threading
import time
from typing import Any

import pytest

from tensorwright.device import cpu, driver


def test_the_driver_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Any] = []
    load = cpu.load

    def slowly(*args: Any) -> Any:
        time.sleep(0.05)
        loads.append(load(*args))
        return loads[-1]

    monkeypatch.setattr(cpu, "load", slowly)
    monkeypatch.setattr(driver, "_loaded", [])
    start, found = threading.Barrier(6), []

    def ask() -> None:
        start.wait()
        found.append(driver.library())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1 and all(x is loads[0] for x in found) and len(found) == 6
