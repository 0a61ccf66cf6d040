"""`stableft recommend` as users call it: a table as Excel writes it, tags, scores, and what is refused."""

import json
from pathlib import Path

import pytest

from stableft.tasks.catalog import get_task
from tests.conftest import Quick

FAST = ("--protocol", "smoke", "--jobs", "2", "--allow-unknown")


def excel(folder: Path) -> Path:
    task = get_task("toy")
    rows = [f'"{e.text}";{task.labels[int(e.label)]}' for e in task.load().train]
    file = folder / "reviews.csv"
    file.write_bytes(("\ufeffReview;Sentiment\r\n" + "\r\n".join(rows) + "\r\n").encode())
    return file


@pytest.mark.slow
def test_from_a_table_of_excel_to_predictions(tmp_path: Path, quick: Quick) -> None:
    excel(tmp_path)
    code, out, err = quick(tmp_path, "recommend", "reviews.csv", "--minutes", "1.2", "--save", "model", *FAST)
    assert code == 0, err
    assert [line.split(":")[0] for line in out.splitlines()][:5] == ["Use", "Expect", "Seeds", "Against the default", "Train"]
    assert "Review as text, Sentiment as label" in err
    stored = json.loads((tmp_path / "recommendations/reviews.csv/answer.json").read_text())
    assert stored["examples"] == {"train": 52, "validation": 6, "test": 6}
    assert "reviews.csv" in (tmp_path / "recommendations/reviews.csv/report.html").read_text()
    (tmp_path / "new.csv").write_text("id,Review\n1,celia lumi bap\n2,hask vrok\n")
    assert quick(tmp_path, "predict", "model", "new.csv", "--out", "out.csv")[0] == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "id,Review,label,probability"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["toyscore", "toytag"])
def test_scores_and_tags_have_an_answer_too(name: str, tmp_path: Path, quick: Quick) -> None:
    code, out, err = quick(tmp_path, "recommend", name, "--minutes", "1.2", *FAST, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert len(found["lines"]) == 5
    page = (tmp_path / "recommendations" / name / "report.html").read_text()
    assert ("Residuals" if name == "toyscore" else "Scores by class") in page


def test_a_budget_for_nothing_says_what_would_fit(tmp_path: Path, quick: Quick) -> None:
    excel(tmp_path)
    code, out, err = quick(tmp_path, "recommend", "reviews.csv", "--minutes", "0.1", *FAST)
    assert code == 2
    assert "--minutes 0.1 is too short: baselines and 3 runs take about" in err
    assert not out
    assert not (tmp_path / "recommendations").exists()


def test_the_folder_of_a_model_is_never_overwritten(tmp_path: Path, quick: Quick) -> None:
    excel(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.txt").write_text("mine")
    code, _, err = quick(tmp_path, "recommend", "reviews.csv", "--save", "model", *FAST)
    assert code == 2
    assert "model exists already" in err


def test_a_task_that_the_scale_lacks_is_refused(tmp_path: Path, quick: Quick) -> None:
    code, _, err = quick(tmp_path, "recommend", "docs15", "--protocol", "smoke")
    assert code == 2
    assert "docs15 is no task of protocol smoke; it has: toy, toyscore, toytag" in err
