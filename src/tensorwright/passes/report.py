"""What the passes did, and what they left alone and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection


class Report:
    """Rewrites fired and declined, by rewrite and layer. Prints itself.

    fired      (rewrite, layer, how often)
    declined   (rewrite, layer, reason): the last reason, for layers that are still there
    """

    def __init__(self) -> None:
        self._fired: Counter[tuple[str, str]] = Counter()
        self._declined: dict[tuple[str, str], str] = {}

    def fire(self, rewrite: str, layer: str, count: int = 1) -> None:
        self._fired[rewrite, layer] += count
        self._declined.pop((rewrite, layer), None)

    def decline(self, rewrite: str, layer: str, reason: str) -> None:
        self._declined[rewrite, layer] = reason

    def keep_declined(self, layers: Collection[str]) -> None:
        """Forget what was declined for layers other than these: they are gone."""
        self._declined = {key: reason for key, reason in self._declined.items() if key[1] in layers}

    @property
    def fired(self) -> list[tuple[str, str, int]]:
        return [(rewrite, layer, n) for (rewrite, layer), n in self._fired.items()]

    @property
    def declined(self) -> list[tuple[str, str, str]]:
        return [(rewrite, layer, reason) for (rewrite, layer), reason in self._declined.items()]

    def total(self, rewrite: str) -> int:
        """How often a rewrite fired."""
        return sum(n for (name, _), n in self._fired.items() if name == rewrite)

    def __str__(self) -> str:
        lines = []
        names = dict.fromkeys(name for name, _ in (*self._fired, *self._declined))
        for name in names:
            lines.append(f"{name}: {self.total(name)}")
            lines += [f"  {layer}{f' ({n} times)' if n > 1 else ''}" for (r, layer), n in self._fired.items()
                      if r == name]
            lines += [f"  not {layer}: {reason}" for (r, layer), reason in self._declined.items() if r == name]
        return "\n".join(lines)
