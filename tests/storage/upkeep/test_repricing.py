"""Repricing: spans have their costs of today, the rollup with them, exactly once whatever comes in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from lake_parts import span_rows
from upkeep_lake import NOW, TODAY, UpkeepLake, day

from schemas.session_rollup import SESSION_ROLLUP
from schemas.spans import SPANS
from storage.upkeep import corrections
from storage.upkeep.compaction import FILES_A_MERGE, compact
from storage.upkeep.corrections import complete
from storage.upkeep.repricing import FILLED, Pricing, Repriced, Repricing, reprice
from storage.upkeep.rewrite import StoppedError
from storage.upkeep.upkeep import Upkeep

READS = ("project", "input_tokens", "reported_cost")


@pytest.fixture
def lake(tmp_path: Path) -> UpkeepLake:
    return UpkeepLake(tmp_path / "lake")


def by_token(usd: float | None, source: str = "list 2") -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return what prices calls by their input tokens; None: it knows no price."""

    def price(rows: pa.RecordBatch) -> pa.RecordBatch:
        tokens = rows["input_tokens"].cast(pa.float64())
        computed = pa.nulls(rows.num_rows, pa.float64()) if usd is None else pc.multiply(tokens, usd)
        texts = pc.if_else(pc.is_valid(computed), source, None).cast(pa.string())
        filled = {
            "computed_cost": computed,
            "price_source": texts,
            "cost": pc.coalesce(rows["reported_cost"], computed),
        }
        assert set(filled) == set(FILLED)
        for name, column in filled.items():
            rows = rows.set_column(rows.schema.get_field_index(name), name, column)
        return rows

    return price


def priced(usd: float | None, project: str = "p", **options: Any) -> Pricing:
    return Pricing(project, READS, by_token(usd, **options))


def commit(lake: UpkeepLake, *numbers: int, usd: float | None = 1.0, **columns: Any) -> None:
    """Commit calls of so many input tokens as their numbers, priced as they came."""
    rows = [
        span_rows(number, **{"date": TODAY, "start_time": NOW, "input_tokens": number} | columns) for number in numbers
    ]
    batch = pa.Table.from_batches(rows).combine_chunks().to_batches()[0]
    lake.commit(SPANS, by_token(usd, source="list 1")(batch))


def run(lake: UpkeepLake, pricing: Pricing, **options: Any) -> Repriced:
    return reprice(lake.rewriter, threading.Lock(), pricing, Repricing(**{"since": day(30)} | options))


def costs(lake: UpkeepLake, column: str = "cost") -> dict[int, Any]:
    rows = lake.rows()
    return dict(sorted(zip(rows["content_hash"].to_pylist(), rows[column].to_pylist(), strict=True)))


def test_spans_cost_what_they_cost_today_and_the_rollup_adds_up(lake: UpkeepLake) -> None:
    commit(lake, 1, 2, session_id="a")
    commit(lake, 3, session_id="b", usd=None)
    commit(lake, 4, session_id=None)
    commit(lake, 5, session_id="a", reported_cost=0.25)

    done = run(lake, priced(2.0))

    assert done == Repriced(spans=5, newly_priced=1, cost_before=7.25, cost_after=20.25)
    assert costs(lake) == {1: 2.0, 2: 4.0, 3: 6.0, 4: 8.0, 5: 0.25}
    assert costs(lake, "computed_cost")[5] == 10.0
    assert set(costs(lake, "price_source").values()) == {"list 2"}
    assert lake.rollup_is_fresh()
    unpriced = pc.sum(lake.rows(SESSION_ROLLUP)["unpriced_count"]).as_py()
    assert unpriced == 0


def test_all_else_of_the_spans_stays(lake: UpkeepLake) -> None:
    commit(lake, *range(1, 20), input="what was said", tags=["a", "b"], attributes='{"k":1}')
    before = lake.rows().drop_columns(list(FILLED)).sort_by("content_hash")

    run(lake, priced(2.0))

    assert lake.rows().drop_columns(list(FILLED)).sort_by("content_hash").equals(before)


def test_a_price_that_is_gone_leaves_no_cost(lake: UpkeepLake) -> None:
    commit(lake, 1, 2)

    done = run(lake, priced(None))

    assert done == Repriced(spans=2, no_longer_priced=2, cost_before=3.0)
    assert costs(lake) == {1: None, 2: None}
    assert costs(lake, "price_source") == {1: None, 2: None}
    sums = [(name, "sum") for name in ("cost_sum", "cost_count", "unpriced_count", "calls")]
    (row,) = lake.rows(SESSION_ROLLUP).group_by([]).aggregate(sums).to_pylist()
    assert row == {"cost_sum_sum": 0.0, "cost_count_sum": 0, "unpriced_count_sum": 2, "calls_sum": 2}


def test_it_is_for_one_project_and_from_one_day_on(lake: UpkeepLake) -> None:
    commit(lake, 1)
    commit(lake, 2, project="q")
    commit(lake, 3, date=day(5))
    commit(lake, 4, date=day(6))

    run(lake, priced(2.0), since=day(5))

    assert costs(lake) == {1: 2.0, 2: 2.0, 3: 6.0, 4: 4.0}
    assert lake.rollup_is_fresh()


def test_a_dry_run_counts_the_same_and_changes_nothing(lake: UpkeepLake) -> None:
    commit(lake, 1, 2)
    commit(lake, 3, usd=None)
    files = lake.lake.files(SPANS)

    dry = run(lake, priced(2.0), is_dry=True)

    assert lake.lake.files(SPANS) == files
    assert costs(lake) == {1: 1.0, 2: 2.0, 3: None}
    assert dry == run(lake, priced(2.0))


def test_the_second_time_nothing_is_rewritten(lake: UpkeepLake) -> None:
    commit(lake, 1, 2)
    run(lake, priced(2.0))
    files = lake.lake.files(SPANS)

    assert run(lake, priced(2.0)) == Repriced()
    assert run(lake, priced(2.0, source="list 3")) == Repriced()
    assert lake.lake.files(SPANS) == files


def test_a_price_of_one_s_own_is_named_also_where_it_comes_to_the_same(lake: UpkeepLake) -> None:
    commit(lake, 1)

    done = run(lake, priced(1.0, source="override ours@2026-01-01 v1"))

    assert done == Repriced(spans=1, cost_before=1.0, cost_after=1.0)
    assert costs(lake, "price_source") == {1: "override ours@2026-01-01 v1"}


def test_files_that_are_committed_and_merged_meanwhile_are_priced_too(lake: UpkeepLake) -> None:
    for number in range(1, FILES_A_MERGE + 1):
        commit(lake, number)
    late = [100, 101]

    def meddle(done: int, files: int) -> None:
        if done == 2 and late:
            commit(lake, *late)
            late.clear()
            compact(lake.rewriter, SPANS, NOW)

    done = run(lake, priced(2.0), progress=meddle)

    assert lake.file_count() < FILES_A_MERGE
    assert costs(lake) == {number: 2.0 * number for number in (*range(1, FILES_A_MERGE + 1), 100, 101)}
    assert done.spans == FILES_A_MERGE + 2
    assert lake.rollup_is_fresh()


def test_what_is_acknowledged_until_the_end_is_committed_first(lake: UpkeepLake) -> None:
    waiting = [[1], [2]]

    run(lake, priced(2.0), commit=lambda: commit(lake, *waiting.pop(0)) if waiting else None)

    assert costs(lake) == {1: 2.0, 2: 4.0}


def test_a_file_without_content_stays_one(lake: UpkeepLake) -> None:
    commit(lake, 1, date=day(9), input="secret")
    upkeep = Upkeep(lake.lake, content_retention_days=5, now=lambda: NOW)
    upkeep.run_once()

    upkeep.reprice(priced(2.0), Repricing(day(30)))

    assert [file.prefix for file in lake.lake.files(SPANS)] == ["bare"]
    assert costs(lake) == {1: 2.0}
    assert costs(lake, "input") == {1: None}


@pytest.mark.parametrize("dies_before", ["_write_down", "replace", "complete"])
def test_a_process_that_dies_in_between_corrects_the_rollup_once(
    lake: UpkeepLake, monkeypatch: pytest.MonkeyPatch, dies_before: str
) -> None:
    commit(lake, 1, 2, session_id="a")
    commit(lake, 3, session_id="b", usd=None)
    with monkeypatch.context() as patched:
        target = lake.lake if dies_before == "replace" else corrections
        calls: list[str] = []
        real = getattr(target, dies_before)

        def die(*arguments: Any, **options: Any) -> Any:
            # What comes before the first correction is let through.
            calls.append(dies_before)
            if dies_before == "complete" and len(calls) == 1:
                return real(*arguments, **options)
            raise KeyboardInterrupt

        patched.setattr(target, dies_before, die)
        with pytest.raises(KeyboardInterrupt):
            run(lake, priced(2.0))

    complete(lake.lake)
    assert lake.rollup_is_fresh()

    run(lake, priced(2.0))

    assert costs(lake) == {1: 2.0, 2: 4.0, 3: 6.0}
    assert lake.rollup_is_fresh()


def test_a_server_that_stops_ends_it_between_two_files(lake: UpkeepLake) -> None:
    commit(lake, 1)
    commit(lake, 2)
    upkeep = Upkeep(lake.lake, now=lambda: NOW)

    with pytest.raises(StoppedError):
        upkeep.reprice(priced(2.0), Repricing(day(30), progress=lambda *_: upkeep.stop()))

    assert sorted(costs(lake).values()) in ([1.0, 4.0], [2.0, 2.0])
    assert lake.rollup_is_fresh()
