from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from policies.graded import RanksGrades
from policies.listwise import XENDCG, LambdaMART, Pointwise
from policies.ltr import Queries, Standard, ndcg, ndcg_by_query, rank, read_svmlight
from policies.pairwise import BPR
from policies.training import Training
from policies.weighting import SampleWeight
from sim.records import Floats
from tests.policies.judgments import write_judgments

DOCS = Path(__file__).parent.parent.parent / "docs" / "ltr.md"
SMALL = Training(batch=512, learning_rate=0.01, epochs=12)
RANKERS: dict[str, RanksGrades] = {
    "bpr": BPR(training=SMALL),
    "lambdamart": LambdaMART(),
    "xendcg": XENDCG(),
    "pointwise": Pointwise(),
    "sample_weight": SampleWeight({"click": 1}, SMALL),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ltr")


@pytest.fixture(scope="module")
def train(folder: Path) -> Queries:
    write_judgments(folder / "train.txt", 400, seed=1)
    return read_svmlight(folder / "train.txt")


@pytest.fixture(scope="module")
def test(folder: Path) -> tuple[Queries, Floats]:
    """With the relevance that grades were drawn from."""
    truth = write_judgments(folder / "test.txt", 200, seed=2)
    return read_svmlight(folder / "test.txt"), truth


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "judged.txt"
    path.write_text(text)
    return path


def one_query(*grades: int) -> Queries:
    return Queries(np.array(grades), np.zeros(len(grades), dtype=np.int64), np.zeros((len(grades), 1), np.float32))


# Reading


def test_a_file_reads_as_it_is_written(tmp_path: Path) -> None:
    """Tabs, runs of spaces, comments with colons, blank lines and numbers of every form occur in published files."""
    text = (
        "# a head: 1:2\n\n2 qid:7 1:0.3 5:1 # doc = 3:4\n0\tqid:7\t 2:-1.5e-3  \n1.0 qid:12 3:.5 1:+2. # \n0 qid:3\r\n"
    )
    queries = read_svmlight(written(tmp_path, text))
    np.testing.assert_array_equal(queries.grade, [2, 0, 1, 0])
    np.testing.assert_array_equal(queries.qid, [7, 7, 12, 3])
    expected = [[0.3, 0, 0, 0, 1], [0, -1.5e-3, 0, 0, 0], [2, 0, 0.5, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(queries.features, np.array(expected, dtype=np.float32))
    np.testing.assert_array_equal(queries.starts, [0, 2, 3, 4])


def test_blocks_join_without_a_seam(train: Queries, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.ltr.LINES_PER_BLOCK", 7)
    again = read_svmlight(folder / "train.txt")
    for name in ("grade", "qid", "features"):
        np.testing.assert_array_equal(getattr(again, name), getattr(train, name))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("qid:1 1:2", "must begin with a grade, a whole number from 0, got 'qid:1'"),
        ("-1 qid:1 1:2", "must begin with a grade, a whole number from 0, got '-1'"),
        ("0.5 qid:1 1:2", "must begin with a grade, a whole number from 0, got '0.5'"),
        ("99 qid:1 1:2", "a grade must be at most 30, got 99"),
        ("1 1:2", "must come the query, such as qid:7, got '1:2'"),
        ("1", "must come the query, such as qid:7, got 'nothing'"),
        ("1 qid:x 1:2", "must come the query, such as qid:7, got 'qid:x'"),
        ("1 qid:1 1:2 3", "such as 5:0.25, got '3'"),
        ("1 qid:1 1:2:3", "such as 5:0.25, got '1:2:3'"),
        ("1 qid:1 1: 2", "such as 5:0.25, got '1:'"),
        ("1 qid:1 4:NULL", "such as 5:0.25, got '4:NULL'"),
        ("1 qid:1 4:nan", "such as 5:0.25, got '4:nan'"),
        ("1 qid:1 4:1e999", "the value of feature 4 must be finite, got inf"),
        ("1 qid:1 4:1e39", "the value of feature 4 must be finite, got 1e+39"),
        ("1 qid:1 0:1", "features are numbered from 1, got 0"),
        ("1 qid:1 2:1 3:1 2:0", "feature 2 must be named once, got it twice"),
        ("1 qid:9 1:1", "lines of qid:9 must be together, but qid:1 is between; sort by qid"),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(tmp_path: Path, line: str, complaint: str) -> None:
    path = written(tmp_path, f"# head\n0 qid:9 1:1\n\n1 qid:1 1:1\n{line}\n0 qid:1 1:1\n")
    with pytest.raises(ValueError, match=rf"^judged.txt:5: .*{re.escape(complaint)}") as refused:
        read_svmlight(path)
    assert "\n" not in str(refused.value)


def test_a_query_that_begins_again_in_a_later_block_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.ltr.LINES_PER_BLOCK", 2)
    with pytest.raises(ValueError, match=r"^judged.txt:4: lines of qid:1 must be together, but qid:3"):
        read_svmlight(written(tmp_path, "0 qid:1 1:1\n0 qid:2 1:1\n0 qid:3 1:1\n0 qid:1 1:1\n"))


def test_a_query_may_go_on_in_the_next_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.ltr.LINES_PER_BLOCK", 2)
    queries = read_svmlight(written(tmp_path, "0 qid:1 1:1\n0 qid:2 1:1\n0 qid:2 1:1\n0 qid:4 1:1\n"))
    np.testing.assert_array_equal(queries.starts, [0, 1, 3, 4])


def test_a_file_without_judgments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold judged documents, found none"):
        read_svmlight(written(tmp_path, "# nothing\n\n"))


def test_features_beyond_those_asked_for_are_left_out_and_absent_ones_are_0(tmp_path: Path) -> None:
    path = written(tmp_path, "0 qid:1 1:1 3:9\n1 qid:1 2:5\n")
    np.testing.assert_array_equal(read_svmlight(path, n_features=2).features, [[1, 0], [0, 5]])
    np.testing.assert_array_equal(read_svmlight(path, n_features=4).features, [[1, 0, 9, 0], [0, 5, 0, 0]])


# Standardising


def test_features_are_standardised_by_the_training_file_alone(train: Queries) -> None:
    standard = Standard.of(train.features)
    ours = standard(train.features)
    np.testing.assert_allclose(ours.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(ours.std(axis=0), 1, atol=1e-4)
    shifted = standard(train.features + np.float32(1))
    assert shifted.mean() > 0.3


def test_standardising_keeps_the_order_of_values_and_silences_constants() -> None:
    x = np.array([[-1e6, 3], [-2, 3], [0, 3], [1e-3, 3], [1e6, 3]], dtype=np.float32)
    out = Standard.of(x)(x)
    assert (np.diff(out[:, 0]) > 0).all()
    np.testing.assert_array_equal(Standard.of(x)(x + np.float32(5))[:, 1], 0)


def test_a_test_file_that_names_fewer_features_has_zeros_and_one_with_more_is_refused(train: Queries) -> None:
    ranker = rank(XENDCG(trees=5), train)
    some = Queries(train.grade, train.qid, train.features[:, :4])
    padded = Queries(train.grade, train.qid, np.pad(train.features[:, :4], ((0, 0), (0, 2))))
    np.testing.assert_array_equal(ranker.score(some), ranker.score(padded))
    more = Queries(train.grade, train.qid, np.pad(train.features, ((0, 0), (0, 1))))
    with pytest.raises(
        ValueError, match="must be those of training, 1 to 6, got 1 to 7; read the file with n_features=6"
    ):
        ranker.score(more)


# NDCG


def brute_force(grades: list[int], scores: list[float], k: int) -> float:
    """The mean over all orders that the scores allow, document by document."""
    best = sum((2**g - 1) / math.log2(r + 2) for r, g in enumerate(sorted(grades, reverse=True)[:k]))
    allowed = [
        order
        for order in itertools.permutations(range(len(grades)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    found = [sum((2 ** grades[d] - 1) / math.log2(r + 2) for r, d in enumerate(order[:k])) for order in allowed]
    return sum(found) / len(found) / best


@pytest.mark.parametrize("seed", range(12))
def test_ndcg_is_the_mean_over_all_orders_that_ties_allow(seed: int) -> None:
    """Three queries of up to six documents with few distinct scores, against every permutation."""
    luck = np.random.default_rng(seed)
    sizes = luck.integers(1, 7, size=3)
    grade = [np.append(luck.integers(0, 5, size=n - 1), 1) for n in sizes]
    score = [luck.integers(0, 3, size=n).astype(np.float64) for n in sizes]
    queries = Queries(np.concatenate(grade), np.repeat([5, 2, 9], sizes), np.zeros((sizes.sum(), 1), np.float32))
    ours = ndcg_by_query(queries, np.concatenate(score), (1, 2, 3, 5, 10))
    expected = [
        [brute_force(g.tolist(), s.tolist(), k) for k in (1, 2, 3, 5, 10)] for g, s in zip(grade, score, strict=True)
    ]
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_ndcg_of_an_example_by_hand() -> None:
    """Grades 3, 2, 0, 1 in the order shown: DCG = 7 + 3/log2(3) + 0 + 1/log2(5); best = 7 + 3/log2(3) + 1/2."""
    found = ndcg(one_query(3, 2, 0, 1), np.array([4.0, 3, 2, 1]), at=(1, 2, 4))
    top = 7 + 3 / math.log2(3)
    assert found == pytest.approx({1: 1, 2: 1, 4: (top + 1 / math.log2(5)) / (top + 1 / 2)})
    assert ndcg(one_query(0, 1), np.array([2.0, 1]), at=(1, 2)) == pytest.approx({1: 0, 2: 1 / math.log2(3)})


def test_ties_do_not_flatter() -> None:
    """One relevant document first in the file: a constant score earns its chance of each rank, not the first."""
    ranks = 1 / np.log2(2 + np.arange(4))
    assert ndcg(one_query(1, 0, 0, 0), np.zeros(4), at=(1, 10)) == pytest.approx({1: 0.25, 10: ranks.mean()})


@pytest.mark.parametrize(("empty", "expected"), [(0.0, 0.5), (1.0, 1.0), (None, 1.0)])
def test_a_query_without_relevant_documents_counts_as_it_is_told(empty: float | None, expected: float) -> None:
    queries = Queries(np.array([1, 0, 0, 0]), np.array([1, 1, 2, 2]), np.zeros((4, 1), np.float32))
    assert ndcg(queries, np.array([2.0, 1, 2, 1]), at=(1,), empty=empty) == {1: expected}


def test_ndcg_of_nothing_relevant_is_refused_where_it_would_be_left_out() -> None:
    with pytest.raises(ValueError, match="NDCG needs a query with a relevant document"):
        ndcg(one_query(0, 0), np.zeros(2), empty=None)


def test_ndcg_is_what_lightgbm_reports(train: Queries, test: tuple[Queries, Floats]) -> None:
    """LightGBM counts a query without relevant documents as 1 and breaks ties by place: here there are none."""
    queries, _ = test
    seen: dict[str, dict[str, list[float]]] = {}
    data = lightgbm.Dataset(train.features, train.grade, group=np.diff(train.starts))
    held_out = lightgbm.Dataset(queries.features, queries.grade, group=np.diff(queries.starts), reference=data)
    settings = {
        "objective": "lambdarank",
        "eval_at": [1, 3, 5, 10],
        "num_leaves": 63,
        "verbosity": -1,
        "num_threads": 1,
    }
    booster = lightgbm.train(
        settings, data, 60, valid_sets=[held_out], valid_names=["test"], callbacks=[lightgbm.record_evaluation(seen)]
    )
    scores = np.asarray(booster.predict(queries.features))
    assert all(len(set(scores[a:b])) == b - a for a, b in itertools.pairwise(queries.starts))
    ours = ndcg(queries, scores, empty=1)
    for k, value in ours.items():
        assert seen["test"][f"ndcg@{k}"][-1] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((2, 1)), np.array([0, np.nan])])
def test_scores_must_be_one_finite_number_per_document(scores: Floats) -> None:
    with pytest.raises(ValueError, match="scores must be 2 finite numbers"):
        ndcg(one_query(1, 0), scores)


def test_cut_offs_begin_at_1() -> None:
    with pytest.raises(ValueError, match=r"at must name cut-offs from 1, got \(0, 5\)"):
        ndcg(one_query(1, 0), np.zeros(2), at=(0, 5))


# Ranking


@pytest.mark.parametrize("name", RANKERS)
def test_every_ranker_learns_from_a_file_what_is_relevant(
    name: str, train: Queries, test: tuple[Queries, Floats]
) -> None:
    """NDCG@10 over 190 queries, each against each by the standard error of the paired difference.

    Far above what cannot tell documents apart and what prefers the wrong ones, above the best single feature, and
    within a tenth of the truth, which no ranker may surpass.
    """
    queries, truth = test
    scores = rank(RANKERS[name], train).score(queries)
    assert scores.dtype == np.float32

    def ahead(of: Floats) -> tuple[float, float]:
        by_query = ndcg_by_query(queries, scores, (10,)) - ndcg_by_query(queries, of, (10,))
        known = by_query[~np.isnan(by_query)]
        return float(known.mean()), float(known.std() / np.sqrt(len(known)))

    for worse in (np.zeros(len(queries)), -truth, queries.features[:, 1].astype(np.float64)):
        mean, error = ahead(worse)
        assert mean > 10 * error, name
    mean, error = ahead(queries.features[:, 0].astype(np.float64))
    assert mean > 5 * error, name
    mean, error = ahead(truth)
    assert -0.1 < mean < 3 * error, name


@pytest.mark.parametrize("name", RANKERS)
def test_a_querys_scores_do_not_depend_on_the_other_queries(
    name: str, train: Queries, test: tuple[Queries, Floats]
) -> None:
    quick = Training(epochs=1, batch=512)
    few = {"bpr": BPR(training=quick), "sample_weight": SampleWeight({"click": 1}, quick)}
    ranker = rank(few.get(name, RANKERS[name]), train)
    queries, _ = test
    together = ranker.score(queries)
    for a, b in itertools.pairwise(queries.starts[:4]):
        alone = ranker.score(Queries(queries.grade[a:b], queries.qid[a:b], queries.features[a:b]))
        assert alone.tobytes() == together[a:b].tobytes()


def test_equal_files_teach_equal_bits(train: Queries) -> None:
    quick = BPR(training=Training(epochs=1, batch=512))
    assert rank(quick, train).score(train).tobytes() == rank(quick, train).score(train).tobytes()


def test_gains_are_those_of_ndcg_unless_given(train: Queries) -> None:
    usual, same, other = (
        rank(LambdaMART(trees=5), train, gains).score(train) for gains in (None, (0, 1, 3, 7, 15), (0, 1, 1, 1, 1))
    )
    np.testing.assert_array_equal(usual, same)
    assert (usual != other).any()


def test_gains_that_a_ranker_cannot_take_are_refused(train: Queries) -> None:
    with pytest.raises(ValueError, match=r"gains must be of grades 0 to 4, got 3; try \(0, 1, 3, 7, 15\)"):
        rank(LambdaMART(), train, gains=(0, 1, 3))
    with pytest.raises(ValueError, match=r"gains must be 2\^grade - 1 for xendcg"):
        rank(XENDCG(), train, gains=(0, 1, 2, 3, 4))
    with pytest.raises(ValueError, match="position must be false where there is no log of places"):
        rank(LambdaMART(position=True), train)


def test_a_file_of_one_grade_teaches_nothing_and_says_so() -> None:
    with pytest.raises(ValueError, match="queries must hold documents of several grades"):
        rank(BPR(), one_query(2, 2, 2))


def test_a_query_must_not_begin_again() -> None:
    with pytest.raises(ValueError, match="rows of one query must be contiguous"):
        Queries(np.array([1, 0, 1]), np.array([1, 2, 1]), np.zeros((3, 1), np.float32))


def test_the_documented_lines_run_as_they_are_printed(
    folder: Path,
    train: Queries,
    test: tuple[Queries, Floats],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    (code,) = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)[:1]
    assert len([line for line in code.splitlines() if line]) == 5
    exec(compile(code, "docs/ltr.md", "exec"), {})
    printed = eval(capsys.readouterr().out)
    assert list(printed) == [1, 3, 5, 10]
    assert printed[10] > 0.6  # a constant has .41


def test_judgments_of_others_are_learned(real_data: Callable[[str], Path]) -> None:
    """Any train.txt and test.txt of the LETOR form: a ranker is above a constant by 5 standard errors."""
    train = read_svmlight(real_data("ltr/train.txt"))
    test = read_svmlight(real_data("ltr/test.txt"), n_features=train.features.shape[1])
    scores = rank(XENDCG(trees=100), train).score(test)
    gap = ndcg_by_query(test, scores, (10,)) - ndcg_by_query(test, np.zeros(len(test)), (10,))
    gap = gap[~np.isnan(gap)]
    assert gap.mean() > 5 * gap.std() / np.sqrt(len(gap))
