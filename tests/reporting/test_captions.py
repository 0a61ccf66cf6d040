"""What captions state about the runs."""

import json
from dataclasses import replace

from stableft.reporting import captions
from tests.helpers import synthetic


def test_captions_say_where_frequent_points_differ_from_the_last_one() -> None:
    results = synthetic.grid(2)
    assert "Points before the end" not in captions.describe(results)
    settings = {"rte": {"num_examples": 200}, "tnews_1k": {"num_examples": 90}}
    configs = [
        json.dumps({**json.loads(text), "evaluation": settings[task]})
        for task, text in zip(results.runs["task"], results.runs["config"], strict=True)
    ]
    caption = captions.describe(replace(results, runs=results.runs.assign(config=configs)))
    assert "Points before the end, rte: on up to 200 fixed examples of validation." in caption
    assert "Points before the end, tnews_1k: on up to 90 fixed examples of validation." in caption
    assert caption.count("Points before the end") == 2


def test_the_run_set_does_not_depend_on_row_order() -> None:
    results = synthetic.grid(3, diverged=False)
    turned = replace(results, runs=results.runs.iloc[::-1])
    assert captions.describe(turned)[-20:] == captions.describe(results)[-20:]
    assert captions.describe(synthetic.without(results, "corrected", {0}))[-20:] != captions.describe(results)[-20:]


def test_captions_name_the_number_of_runs_and_a_range_where_arms_differ() -> None:
    whole = synthetic.grid(3, diverged=False)
    assert "Runs per arm and task: n = 3." in captions.describe(whole)
    assert "Runs per arm and task: n = 2 to 3." in captions.describe(synthetic.without(whole, "corrected", {0}))
    one = replace(whole, runs=whole.runs[(whole.runs["task"] != "rte") | (whole.runs["seed"] == 0)])
    assert "Runs per arm: rte n = 1, tnews_1k n = 3." in captions.describe(one)
    many = replace(synthetic.lr_grid(2))
    assert "Runs per arm and task: n = 2. 10 arms; " in captions.describe(many)


def test_imported_runs_are_named_with_source_and_deviations() -> None:
    results = synthetic.grid(2)
    assert "Imported" not in captions.describe(results)
    source = {
        "label": "own runs, bf16",
        "source": "somebody",
        "licence": "CC0",
        "deviations": ["bf16", "batch 16"],
        "note": "So it is.",
    }
    runs = results.runs.assign(provenance=json.dumps({"imported": source}))
    caption = captions.describe(replace(results, runs=runs))
    said = "Imported, not run here (own runs, bf16): somebody; licence: CC0. Settings: bf16; batch 16. So it is."
    assert caption.count(said) == 1
    assert caption.endswith(captions.describe(results)[-20:])
