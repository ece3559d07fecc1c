import numpy as np
import pytest

from workflow_scripts.common.permutations import permutation_p


def test_ties_count_and_the_observed_value_is_one_of_the_permutations():
    assert permutation_p(2.0, [1, 2, 3, 0]) == pytest.approx(3 / 5)
    assert permutation_p(9.0, [1, 2, 3, 0]) == pytest.approx(1 / 5)
    assert permutation_p(0.1 + 0.2, [0.3]) == 1  # though the sum is a bit above


def test_each_column_has_its_own_p_and_none_without_permutations():
    found = permutation_p([1, 5], [[1, 2], [0, 2], [0, 6]])
    np.testing.assert_allclose(found, [2 / 4, 2 / 4])
    assert np.isnan(permutation_p([1, 5], np.empty((0, 2)))).all()
