import pytest

many_trials = pytest.importorskip("many_trials")


@pytest.mark.slow
def test_rows_by_sql_are_those_that_mlflow_writes() -> None:
    many_trials.check()
