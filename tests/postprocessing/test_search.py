"""Which removals are accepted, against the rules applied step by step on whole label maps."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nnunetv2.errors import CaseFailures
from nnunetv2.evaluation.metrics import label_metrics, mean_over_cases
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation
from nnunetv2.postprocessing.search import disjoint_groups, helpful_steps, helps_all
from tests.evaluation.conftest import write_label_map


def steps_by_the_rules(cases, foreground, evaluated, ignore):
    """The same search with whole label maps and whole evaluations."""

    def mean_dice(predictions):
        mean = mean_over_cases([label_metrics(cases[c][1], p, evaluated, ignore) for c, p in predictions.items()])
        return {item: metrics["Dice"] for item, metrics in mean.items()}

    def reduced(predictions, step):
        return {c: remove_all_but_largest_component_from_segmentation(p, step) for c, p in predictions.items()}

    current = {case: prediction for case, (prediction, _) in cases.items()}
    steps = []
    for step in [list(foreground), *(evaluated if len(evaluated) > 1 else [])]:
        candidate = reduced(current, step)
        before, after = mean_dice(current), mean_dice(candidate)
        if step == list(foreground) and not steps:
            good = np.nanmean(list(after.values())) > np.nanmean(list(before.values()))
            good = good and all(not after[item] < before[item] for item in evaluated)
        else:
            good = after[step] > before[step]
        if good:
            steps.append(step)
            current = candidate
    return steps


def search(tmp_path, cases, foreground, evaluated, ignore=None):
    files = {}
    for case, (prediction, reference) in cases.items():
        files[case] = (str(tmp_path / f"{case}_p.nii.gz"), str(tmp_path / f"{case}_r.nii.gz"))
        for path, array in zip(files[case], (prediction, reference)):
            write_label_map(type(tmp_path)(path), array)
    return helpful_steps(files, SimpleITKIO(), foreground, evaluated, ignore, 1)


def random_cases(seed, noise):
    """Nested shells around a centre; the prediction has islands. Values 0 to 3."""
    rng = np.random.RandomState(seed)
    grid = np.indices((10, 16, 14))
    cases = {}
    for case in "abc":
        distance = np.sqrt(((grid - rng.uniform(4, 8, 3)[:, None, None, None]) ** 2).sum(0))
        islands = gaussian_filter(rng.normal(size=distance.shape), 1) * noise
        thresholds = [-5, -3.5, -2]
        cases[case] = (np.digitize(islands - distance, thresholds), np.digitize(-distance, thresholds))
    return cases


REGIONS = [(1, 2, 3), (2, 3), (3,)]


@pytest.mark.parametrize("evaluated", [[1, 2, 3], REGIONS, [(1, 2, 3)], [(1, 2), 3]])
@pytest.mark.parametrize(("seed", "noise"), [(0, 2), (1, 4), (2, 8), (3, 8), (4, 6)])
def test_the_search_finds_what_the_rules_say(tmp_path, evaluated, seed, noise):
    cases = random_cases(seed, noise)
    expected = steps_by_the_rules(cases, [1, 2, 3], evaluated, None)
    assert search(tmp_path, cases, [1, 2, 3], evaluated) == expected


def test_the_random_cases_lead_to_different_results(tmp_path):
    found = {
        str(search(tmp_path, random_cases(seed, noise), [1, 2, 3], evaluated))
        for seed, noise in [(0, 2), (1, 4), (2, 8)]
        for evaluated in ([1, 2, 3], REGIONS)
    }
    assert len(found) > 2


def test_ignored_voxels_play_no_part(tmp_path):
    cases = random_cases(5, 6)
    rng = np.random.RandomState(0)
    ignored = {c: (p, np.where(rng.uniform(size=r.shape) < 0.3, 4, r)) for c, (p, r) in cases.items()}
    expected = steps_by_the_rules(ignored, [1, 2, 3], [1, 2, 3], 4)
    assert search(tmp_path, ignored, [1, 2, 3], [1, 2, 3], 4) == expected != []


def line(text):
    """Label map of one row, one digit per voxel, such as 1101."""
    return np.array([int(digit) for digit in text], dtype=np.uint8).reshape(1, 1, -1)


def test_an_island_that_is_wrong_is_removed(tmp_path):
    assert search(tmp_path, {"a": (line("111001"), line("111000"))}, [1], [1]) == [[1]]


def test_an_island_that_is_right_stays(tmp_path):
    assert search(tmp_path, {"a": (line("111001"), line("111001"))}, [1], [1]) == []


def test_a_label_is_accepted_alone_although_another_suffers_from_the_same_islands(tmp_path):
    # All foreground together would lower label 2, so it is refused; label 1 alone is looked at by itself.
    case = (line("1110200101"), line("1110200000"))
    assert search(tmp_path, {"a": case}, [1, 2], [1, 2]) == [1]


def test_a_region_is_accepted_although_the_region_inside_gets_worse(tmp_path):
    # The island 2 is right for the inner region (2,) and wrong islands of 1 outweigh it for the outer one (1, 2).
    case = (line("1111020101010100"), line("1111020000000000"))
    found = search(tmp_path, {"a": case}, [1, 2], [(1, 2), (2,)])
    assert found == [(1, 2)]


def test_a_label_that_occurs_nowhere_does_not_hinder(tmp_path):
    assert search(tmp_path, {"a": (line("111001"), line("111000"))}, [1, 2], [1, 2]) == [[1, 2]]


def test_no_foreground_at_all_finds_nothing(tmp_path):
    assert search(tmp_path, {"a": (line("000"), line("000"))}, [1, 2], [1, 2]) == []


def test_an_unchanged_mean_is_no_rise():
    assert not helps_all({1: {"before": 0.5, "after": 0.5}})
    assert not helps_all({1: {"before": 0.5, "after": 0.9}, 2: {"before": 0.5, "after": 0.4}})
    assert helps_all({1: {"before": 0.5, "after": 0.6}, 2: {"before": float("nan"), "after": float("nan")}})


@pytest.mark.parametrize(
    ("items", "groups"),
    [
        ([1, 2, 3], [[1, 2, 3]]),
        ([(1, 2, 3), (2, 3), (3,)], [[(1, 2, 3)], [(2, 3)], [(3,)]]),
        ([(1, 2), 3, (2, 4)], [[(1, 2), 3], [(2, 4)]]),
        ([], []),
    ],
)
def test_items_that_share_labels_are_not_judged_together(items, groups):
    assert disjoint_groups(items) == groups


def test_different_shapes_are_an_error_that_names_the_case(tmp_path):
    with pytest.raises(CaseFailures, match=r"a: ImageError: .*a_p\.nii\.gz"):
        search(tmp_path, {"a": (line("111"), line("1111"))}, [1], [1])
