"""Independence in tables of counts, held to SciPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats

from analytics.experiments.statistics import independence

TABLES = arrays(np.int64, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6), elements=st.integers(1, 10**9))


@given(TABLES)
def test_it_is_pearsons_test_and_cramers_v(table: np.ndarray) -> None:
    p_value, association = independence(table)

    assert p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=1e-9, abs=1e-300)
    assert association == pytest.approx(stats.contingency.association(table, method="cramer"), rel=1e-9, abs=1e-12)


def test_rows_and_columns_without_a_count_change_nothing() -> None:
    table = np.array([[5, 0, 9], [0, 0, 0], [8, 0, 3]])

    assert independence(table) == independence(np.array([[5, 9], [8, 3]]))


@pytest.mark.parametrize("table", [[[0, 0], [0, 0]], [[3, 4], [0, 0]], [[3, 0], [4, 0]], [[7]]])
def test_where_there_is_nothing_to_compare_nothing_depends(table: list[list[int]]) -> None:
    assert independence(np.array(table)) == (1.0, 0.0)
