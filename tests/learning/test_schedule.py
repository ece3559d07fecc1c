import math

import pytest

from workflow_scripts.learning.schedule import learning_rate


def test_published_schedule():
    rates = [learning_rate(e, base=1.0, warmup=10, epochs=1000) for e in (0, 5, 10, 505, 1000)]
    assert rates == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_cosine_without_warmup():
    for epoch in (0, 1, 7):
        expected = 3 * math.cos(math.pi * epoch / 14) ** 2 + 3 * math.sin(0)
        assert learning_rate(epoch, base=3, warmup=0, epochs=7) == pytest.approx(expected)
