"""Cut, flipped, zeroed and lengthened files: an error that names the file, or what was in it; no hang, no crash."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.counts import count
from tests.faults.damage import DAMAGES, damaged
from tests.faults.readers import FORMATS
from tests.faults.reading_process import outcomes, read_one

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> dict[str, tuple[Path, str]]:
    """Per format the folder of a sound file, and the digest of what is in it."""
    found = {}
    for number, (name, form) in enumerate(FORMATS.items()):
        folder = tmp_path_factory.mktemp(f"sound_{number}")
        form.write(folder / form.file)
        outcome = read_one(name, folder / form.file)
        assert outcome["kind"] == "read", outcome
        found[name] = folder, outcome["digest"]
    return found


def damaged_copies(sound: dict[str, tuple[Path, str]], target: Path, number: int) -> list[dict]:
    """Tasks: every format in turn, with every damage in turn."""
    names, kinds, tasks = list(FORMATS), list(DAMAGES), []
    for seed in range(number):
        name = names[seed % len(names)]
        kind = kinds[(seed + seed // len(names)) % len(kinds)]
        folder = target / str(seed)
        folder.mkdir()
        for file in sound[name][0].iterdir():
            content = file.read_bytes()
            if file.name == FORMATS[name].file:
                content = damaged(content, kind, seed)
            (folder / file.name).write_bytes(content)
        tasks.append({"format": name, "path": str(folder / FORMATS[name].file), "damage": kind, "seed": seed})
    return tasks


def wrong(outcome: dict, digest: str) -> str | None:
    """What must not happen with a damaged file, if it did."""
    name = f"{outcome['format']}, {outcome['damage']}, seed {outcome['seed']}"
    if outcome["kind"] == "error":
        named = Path(outcome["path"]).name in outcome["message"]
        return None if named else f"{name}: the error does not name the file: {outcome['message']}"
    if outcome["kind"] != "read":
        return f"{name}: {outcome['kind']}: {outcome['message']}"
    same = outcome["digest"] == digest
    if same or not (FORMATS[outcome["format"]].checked or outcome["damage"] in ("empty", "cut", "cut near the end")):
        return None
    return f"{name}: it was read as something else, silently"


def test_damaged_files_are_errors_or_read_right(sound, tmp_path, figures):
    tasks = damaged_copies(sound, tmp_path, count("damaged files"))
    found = list(outcomes(tasks))
    problems = [text for outcome in found if (text := wrong(outcome, sound[outcome["format"]][1]))]
    kinds = Counter(outcome["kind"] for outcome in found)
    right = sum(o["kind"] == "read" and o["digest"] == sound[o["format"]][1] for o in found)
    figures(
        "damaged files",
        len(found),
        f"{kinds['error']} errors that name the file, {right} read right, {kinds['read'] - right} read as something "
        f"else (formats without a checksum), {kinds['undeclared']} other exceptions, {kinds['hang']} hangs, "
        f"{kinds['crash']} crashes",
    )
    assert not problems, "\n".join(problems)
