"""README.md tells the truth about the tree, the commands and the proofs."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Named in documentation/commands.md as not being here.
ONLY_UPSTREAM = {"nnUNetv2_train_pretrained", "nnUNetv2_preprocess_like_nnssl", "nnUNetv2_plan_like_dynamic"}
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "documentation").rglob("*.md"))]


def tree_paths() -> list[str]:
    """Paths of the tree in README.md, relative to the root; indentation by four blanks nests."""
    block = README.split("## Where everything is")[1].split("```")[1]
    parents, paths = [], []
    for line in block.strip("\n").splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        parents = [*parents[:depth], line.split()[0].rstrip("/")]
        paths.append("/".join(parents))
    return paths


def declared_commands() -> set[str]:
    scripts = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project.scripts]")[1].split("\n[")[0]
    return set(re.findall(r"^(\w+) *=", scripts, re.MULTILINE))


@pytest.mark.parametrize("path", tree_paths())
def test_every_path_in_the_tree_exists(path):
    assert (ROOT / path).exists()


def test_every_package_of_the_first_level_is_in_the_tree():
    packages = {f"nnunetv2/{folder.parent.name}" for folder in (ROOT / "nnunetv2").glob("*/__init__.py")}
    modules = {f"nnunetv2/{module.name}" for module in (ROOT / "nnunetv2").glob("*.py") if module.name != "__init__.py"}
    assert packages | modules <= set(tree_paths())


def test_every_file_of_the_top_level_is_in_the_tree():
    if not (ROOT / ".git").exists():
        pytest.skip("needs the list of files that belong to the repository, which git has")
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {name.split("/")[0] for name in listing.splitlines()}
    assert top - {".gitignore", "README.md"} <= set(tree_paths())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_named_in_the_pages_exists(page):
    named = set(re.findall(r"nnUNetv2_\w+", page.read_text(encoding="utf-8")))
    assert named - ONLY_UPSTREAM <= declared_commands()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#]+?)\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_every_proof_is_listed_and_exists():
    modules = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py")}
    # A module that is "Run by" another one is a part of that proof.
    proofs = {name for name, text in modules.items() if "__main__" in text and "Run by ``" not in text}
    section = README.split("## Proofs")[1].split("\n## ")[0]
    named = set(re.findall(r"benchmarks[./](\w+?)(?:\.py)?[ `]", section))
    assert named == proofs


def test_the_index_lists_every_page():
    index = (ROOT / "documentation" / "README.md").read_text(encoding="utf-8")
    folder = ROOT / "documentation"
    pages = {page.relative_to(folder).as_posix() for page in folder.rglob("*.md")} - {"README.md"}
    assert not [name for name in pages if f"({name})" not in index]


def test_every_page_that_a_message_of_the_package_names_exists():
    modules = (ROOT / "nnunetv2").rglob("*.py")
    named = {page for module in modules for page in re.findall(r"documentation/\w+\.md", module.read_text("utf-8"))}
    assert named
    assert not [page for page in named if not (ROOT / page).is_file()]


@pytest.mark.parametrize(
    "option", re.findall(r"(?:^| )(--?\w[\w-]*)", "\n".join(re.findall(r"^nnUNetv2_train .*$", README, re.M)))
)
def test_options_of_training_in_the_readme_are_known(option, capsys):
    from nnunetv2.run.run_training import run_training_entry

    with pytest.raises(SystemExit):
        run_training_entry(["-h"])
    assert option in capsys.readouterr().out
