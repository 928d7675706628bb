"""Every write of the package goes through the contexts that make files appear whole; exceptions are listed here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import nnunetv2

PACKAGE = Path(nnunetv2.__file__).parent

# They yield a temporary place, and rename it on success or remove it in any case.
SAFE_CONTEXTS = {
    *("atomic_path", "writing", "written_aside"),
    *("atomic_folder", "private_folder", "new_raw_dataset", "TemporaryDirectory"),
}

# Methods and functions that write, whoever has them.
WRITERS = {
    *("write_text", "write_bytes", "mkstemp", "NamedTemporaryFile", "symlink_to", "hardlink_to"),
    *("savez", "savez_compressed", "savetxt", "tofile", "imwrite", "imsave", "WriteImage", "savefig", "to_csv"),
    *("copy2", "copyfile", "copytree", "copyfileobj", "rename", "save_file", "save_model", "extractall"),
}
# Functions with common names, by the modules that have those that write.
WRITERS_OF = {
    "save": {"np", "nib", "torch"},
    "dump": {"json", "pickle"},
    "copy": {"shutil"},
    "move": {"shutil"},
    "replace": {"os"},
    "link": {"os"},
    "symlink": {"os"},
    "export": {"torch.onnx"},
}
# Files and archives that are opened: writing depends on the mode, second or named.
OPENERS = {"open", "ZipFile", "fdopen", "TarFile"}
# blosc2 writes where it is given a place.
PLACED = {"asarray", "empty", "zeros", "save_array"}

#: where a write may stand alone, and why
EXCEPTIONS = {
    "records/files.py:atomic_path": "the place that renames",
    "utilities/disk_space.py:without_room": "adds to a file that is spoiled and about to be removed",
    "dataset_report/case_facts.py:draw_thumbnail": "into memory",
    "dataset_report/pictures.py:distributions_png": "into memory",
    "training/checkpoint.py:write_checkpoint": "handed to _write, which calls it inside atomic_path",
    "training/checkpoint.py:write_checkpoint_bytes": "handed to _write, which calls it inside atomic_path",
    "training/checkpoint.py:checkpoint_bytes": "into memory",
    "training/checkpoint_rotation.py:make_older": "renames files that are whole",
    "training/checkpoint_rotation.py:_give_second_name": "a second name of a file that is whole",
    "training/logging/text_log.py:_append": "a log grows line by line",
    "utilities/worker_stacks.py:write_stacks_to": "a scratch file of this process, which grows line by line",
    "inference/streaming/label_targets.py:__init__": "a scratch file that loses its name at once",
    "imageio/nifti_slices.py:_plain": "an unpacked copy in the temporary folder of a case",
    "imageio/nifti_slices.py:_opened": "opens what atomic_path gave",
    "model_sharing/model_download.py:_fetch": "called with what atomic_path gave",
    "model_sharing/model_import.py:_unpack": "into a private folder",
    "model_sharing/model_import.py:_move_into_place": "moves whole folders",
    "model_sharing/model_import.py:_rename": "moves whole folders",
    "model_sharing/onnx_export.py:write_network": "called with what atomic_path gave",
    "competitions/heart_renaming.py:carry_out": "renames files that are whole",
}


class Writes(ast.NodeVisitor):
    """Collects ``(function, line, call)`` of every write outside the safe contexts."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int, str]] = []
        self._functions = [""]
        self._safe = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._functions.append(node.name)
        self.generic_visit(node)
        self._functions.pop()

    def visit_With(self, node: ast.With) -> None:
        before = self._safe
        for item in node.items:
            self.visit(item.context_expr)
            self._safe += any(isinstance(n, ast.Call) and _name(n.func) in SAFE_CONTEXTS for n in ast.walk(item))
        for statement in node.body:
            self.visit(statement)
        self._safe = before

    def visit_Call(self, node: ast.Call) -> None:
        if not self._safe and _writes(node):
            self.found.append((self._functions[-1], node.lineno, ast.unparse(node)))
        self.generic_visit(node)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _writes(call: ast.Call) -> bool:
    name = _name(call.func)
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if name in OPENERS:
        return _mode_writes(call, owner)
    if name in PLACED and owner == "blosc2":
        return any(keyword.arg == "urlpath" for keyword in call.keywords)
    if name == "replace" and owner not in ("", "os") and len(call.args) == 1:
        return True  # a path's; that of text takes two
    return name in WRITERS or owner in WRITERS_OF.get(name, ())


def _mode_writes(call: ast.Call, owner: str) -> bool:
    """Whether ``open(path, "w")``, ``path.open("w")``, ``archive.open(member, "w")`` and the like open for writing."""
    values = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    texts = [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    modes = [text for text in texts if len(text) <= 3 and set(text) <= set("rwxabt+")]
    return any(set(mode) & set("wxa+") for mode in modes)


def writes_of(source: str) -> list[tuple[str, int, str]]:
    visitor = Writes()
    visitor.visit(ast.parse(source))
    return visitor.found


def unsafe_writes() -> Iterator[tuple[str, str]]:
    """``(module:function, line and call)`` of every write of the package that stands alone."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for function, line, call in writes_of(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(PACKAGE).as_posix()}:{function}", f"line {line}: {call}"


def test_every_write_is_inside_a_context_that_makes_files_appear_whole():
    bypassing = [f"{place}, {call}" for place, call in unsafe_writes() if place not in EXCEPTIONS]
    assert not bypassing, "use records.files.atomic_path (or imageio.file_access.writing):\n" + "\n".join(bypassing)


def test_no_exception_is_kept_longer_than_needed():
    assert set(EXCEPTIONS) <= {place for place, _ in unsafe_writes()}


def test_the_search_finds_what_bypasses_the_contexts():
    source = """
def f(path, folder):
    path.write_text("x")
    with open(path, "wb") as stream:
        pickle.dump(1, stream)
    with path.open(mode="a") as stream:
        pass
    with atomic_path(path) as temporary, open(temporary, "w") as stream:
        json.dump(1, stream)
    np.save(path, 1)
    os.replace(path, folder)
    text.replace("a", "b")
    path.replace(folder)
    open(path)
    gzip.open(path, "rb")
    zipfile.ZipFile(path, "w")
    blosc2.asarray(array, urlpath=path)
    blosc2.asarray(array)
    sitk.WriteImage(image, path)
"""
    assert [call.split("(")[0] for _, _, call in writes_of(source)] == [
        *("path.write_text", "open", "pickle.dump", "path.open", "np.save", "os.replace", "path.replace"),
        *("zipfile.ZipFile", "blosc2.asarray", "sitk.WriteImage"),
    ]
