from dataclasses import replace

from nnunetv2.records.findings import MISSING, DatasetFinding, Finding, did_you_mean, sort_key, suggestion, value_text

FINDING = DatasetFinding(
    file="a.json", key="size", value="5", reason="it is too large", remedy="make it smaller", case="c1"
)


def test_the_sentence_has_every_part():
    assert str(FINDING) == "c1: a.json: size = 5: it is too large. Make it smaller"
    assert str(replace(FINDING, value=MISSING, case="")) == "a.json: size missing: it is too large. Make it smaller"


def test_what_is_found_in_a_file_names_neither_case_nor_kind():
    finding = Finding(file="a.json", key="size", value="5", reason="it is too large", remedy="Make it smaller")
    assert str(finding) == "a.json: size is 5: it is too large. Make it smaller"
    assert str(replace(finding, value=MISSING)) == "a.json: size is missing: it is too large. Make it smaller"
    assert list(finding.to_json()) == ["severity", "file", "key", "value", "reason", "remedy"]
    assert list(FINDING.to_json()) == ["severity", "kind", "case", "file", "key", "value", "reason", "remedy"]


def test_errors_come_first_then_the_data_set_then_cases():
    warning, whole = replace(FINDING, severity="warning"), replace(FINDING, case="")
    later = replace(FINDING, case="c2")
    assert sorted([warning, later, FINDING, whole], key=sort_key) == [whole, FINDING, later, warning]


def test_values_are_json_on_one_line_and_not_endless():
    assert value_text({"a": [1, "x"]}) == '{"a": [1, "x"]}'
    assert value_text(list(range(100))).endswith(" ...") and len(value_text(list(range(100)))) <= 120


def test_a_misspelt_word_finds_its_neighbour():
    assert did_you_mean("lables", ["labels", "channel_names"]) == "labels"
    assert did_you_mean("NUMTRAINING", ["numTraining"]) == "numTraining"
    assert did_you_mean("licence", ["labels", "channel_names"]) is None


def test_without_a_neighbour_all_known_words_are_named():
    assert suggestion("spacings", ["spacing", "patch_size"]) == "Did you mean spacing?"
    assert suggestion("licence", ["spacing", "patch_size"]) == "There are: patch_size, spacing"
