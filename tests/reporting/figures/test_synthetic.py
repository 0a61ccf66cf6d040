"""Check that the synthetic results resemble a real grid."""

from tests.helpers import synthetic


def test_every_finished_run_has_its_final_score_and_one_diverged() -> None:
    results = synthetic.grid()
    final = results.metrics.query("metric == 'score' and scope == ''").merge(results.runs[["run_id", "num_steps"]], on="run_id")
    assert set(final.loc[final["step"] == final["num_steps"], "run_id"]) == set(results.runs.query("outcome == 'ok'")["run_id"])
    assert (results.runs["outcome"] == "diverged").sum() == 1
