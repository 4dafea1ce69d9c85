"""`./run bench`: which benches run, what is written, and what the exit code says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import Row, Target
from benchmarks.__main__ import discovered, main

TARGET = Target(">=", 0.5)


async def fast() -> list[Row]:
    """A bench whose target is met."""
    return [Row("fast.rate", 9, "records/s", 10, TARGET)]


async def slow() -> list[Row]:
    """A bench with a row that misses its target, between two that do not."""
    rates = (9, 4, 9)
    return [Row(f"slow.rate{rate}", rate, "records/s", 10, TARGET) for rate in rates]


async def silent() -> list[Row]:
    """A bench that measures nothing."""
    return []


BENCHES = {"fast": fast, "slow": slow, "silent": silent}


@pytest.mark.parametrize(
    ("names", "code"), [(["fast"], 0), (["slow"], 1), (["fast", "slow"], 1), (["silent"], 1)]
)
def test_one_row_that_misses_its_target_fails_the_run(names: list[str], code: int) -> None:
    """Exit 0 needs rows, and every one of them good."""
    assert code == main(BENCHES, names)


def test_no_name_means_every_bench(capsys: pytest.CaptureFixture[str]) -> None:
    """The table then holds the rows of all benches."""
    main(BENCHES, [])

    printed = capsys.readouterr().out
    assert "fast.rate" in printed
    assert "slow.rate4" in printed


def test_the_rows_are_written_as_json_when_a_target_is_missed_too(tmp_path: Path) -> None:
    """The file holds every row in order, good or not."""
    main(BENCHES, ["slow", "--json", str(tmp_path / "rows.json")])

    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert [True, False, True] == [row["ok"] for row in rows]


def test_an_unknown_bench_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the line says what there is."""
    with pytest.raises(SystemExit) as ended:
        main(BENCHES, ["fats"])

    assert ended.value.code == 2
    assert "there is no bench fats; there are: fast, slow, silent" in capsys.readouterr().err


def test_benches_are_found_by_their_file() -> None:
    """The folder's modules are benches, the folders beside them are not."""
    assert ["normalizer", "notifier", "poller"] == list(discovered())
