"""Arrays that rewrites may compute with and not look at."""

import numpy as np
import pytest

from tensorwright.ir.refittable import Constants, Refittable, Undecided, plain, surely

HIDDEN = Refittable.of(np.arange(6, dtype=np.float32).reshape(2, 3))


@pytest.mark.parametrize("compute", [
    lambda a: a * 2, lambda a: 1 / (a + 1), lambda a: a.reshape(3, 2), lambda a: a.T.copy("C"), lambda a: a.sum(1),
    lambda a: a.astype(float), lambda a: a[0], lambda a: a[..., None], lambda a: np.where(a > 0, a, 0),
    lambda a: np.concatenate([a, np.ones((1, 3))]), lambda a: np.broadcast_to(a[0], (5, 3)),
    lambda a: np.sqrt(np.asanyarray(a)), lambda a: np.einsum("ij,kj->ik", a, a),
    lambda a: np.matmul(a, np.ones((3, 2))), lambda a: np.split(a, 3, axis=1)[1]])
def test_what_is_computed_stays_hidden_and_is_right(compute: object) -> None:
    result = compute(HIDDEN)                                                                     # type: ignore[operator]
    assert isinstance(result, Refittable)
    np.testing.assert_array_equal(plain(result), compute(np.asarray(HIDDEN)))                    # type: ignore[operator]


@pytest.mark.parametrize("look", [
    lambda a: bool(a[0, 0]), lambda a: float(a[0, 0]), lambda a: int(a.max()), lambda a: a[0, 1].item(),
    lambda a: a.tolist(), lambda a: a.tobytes(), lambda a: [x for x in a], lambda a: "y" if np.all(a == 1) else "n",
    lambda a: (a > 0).any() and 1, lambda a: not np.isfinite(a).all(), lambda a: 3.0 in a,
    lambda a: np.where(a > 0, 1, 2).sum() > 3 or 1])
def test_looking_is_refused(look: object) -> None:
    with pytest.raises(Undecided):
        look(HIDDEN)                                                                             # type: ignore[operator]


def test_surely() -> None:
    assert surely(np.ones(3) == 1) and not surely(np.arange(3) == 1)
    assert not surely(Refittable.of(np.ones(3)) == 1)


def test_constants_tell_what_was_read() -> None:
    known = Constants(a=np.ones(2), b=HIDDEN)
    assert known.get("a") is not None and known.get("c") is None and not known.touched
    assert known["b"] is HIDDEN and known.touched
