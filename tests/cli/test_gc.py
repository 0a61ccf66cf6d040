"""`stableft gc`: lists, and deletes only on request."""

import json
from pathlib import Path

from tests.conftest import Quick
from tests.helpers.commands import done, status_counts


def test_garbage_is_listed_and_deleted_only_if_asked_for(tmp_path: Path, quick: Quick):
    store = done(tmp_path, [0])
    (store.root / "tokens" / "x").mkdir(parents=True)
    (store.root / "tokens" / "x" / "pieces.npy").write_bytes(bytes(10**6))
    listed = json.loads(quick(tmp_path, "gc", "--results", "out", "--json")[1])
    assert (listed["deleted"], listed["bytes"], len(listed["items"]), listed["kept"]) == (False, 10**6, 1, [])
    code, out, _ = quick(tmp_path, "gc", "--results", "out", "--runs")
    assert out.splitlines()[-1].endswith("can be deleted: add --yes")
    assert (store.root / "tokens" / "x").is_dir()
    code, out, _ = quick(tmp_path, "gc", "--results", "out", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "1 files and folders of 1.0 MB deleted")
    assert not (store.root / "tokens" / "x").exists()
    assert status_counts(quick, tmp_path, "--seeds", "0") == {"done": 2, "diverged": 1, "cached": 2}
