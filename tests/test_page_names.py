"""What README, CONTRIBUTING.md and docs/ have in code style exists: flags, config keys, files, names of the program.

Python blocks compile, and all that they import and take from a module is there.
"""

import ast
import functools
import importlib
import re
from pathlib import Path

import documents
import pytest
from documents import ROOT
from test_commands import keys_of_configs

from ternary_jax.config import ConfigError, load_config

FILE = re.compile(r"[\w./*-]+(\.(py|md|json|jsonl|npz|png|toml|lock|csv|parquet|safetensors|yaml|yml|gz|html)|/)")
VARIANT = re.compile(r"(?:configs/)?(\w+)(?:\.py)?:(\w+)")  # cube:dense, configs/v5_10.py:all
KEY = re.compile(
    r"(?:config\.(?=\w)|(?=\w+\.))([a-z]\w*(?:\.\w+)*)(?:=([\w,.+-]+))?"
)  # losses.blur, model.schedule=all
OF_THE_DOCUMENTS = re.compile(
    r"(quick_)?train\w*\.py|\w+\.yaml"
)  # scripts that docs/v5_12.md names, and nobody has here
OF_JAX = ("*.trace.json.gz",)  # its profiler writes this
PLACEHOLDERS = ("KEY=VALUE", "START:STOP", ":NAME")
# `model` of docs/model.md is a loaded model, not the group of a config.
LOADED = {"model.about", "model.trained"}


def spans():
    return [(page.name, span) for page in documents.WRITTEN for span in documents.inline(page)]


@functools.cache
def sources():
    """The text of all that is Python here, and of the results, which hold the names of rows."""
    folders = ("ternary_jax", "configs", "experiments", "tests")
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return "\n".join(file.read_text() for file in [*files, *sorted((ROOT / "results").glob("*.json"))])


def known(key):
    """Whether a config has this key, or this group of keys."""
    return any(one == key or one.startswith(f"{key}.") for keys in keys_of_configs().values() for one in keys)


def accepted(overrides):
    """Whether one config takes all of these KEY=VALUE."""
    for name, keys in keys_of_configs().items():
        if all(one.partition("=")[0] in keys for one in overrides):
            try:
                load_config(name, overrides)
            except ConfigError:
                continue
            return True
    return False


def test_flags_exist():
    flags = set(re.findall(r"""["'](--[a-z][a-z-]*)["']""", sources()))
    assert {"--config", "--dry-run", "--at-once"} <= flags
    wrong = []
    for page, span in spans():
        words = [word for word in span.split() if word.startswith("--") and word != "--"]
        if not words or words[0].startswith("--config=") or not span.startswith("--"):
            continue
        overrides = [word.removeprefix("--config.") for word in words if word.startswith("--config.")]
        unknown = [word for word in words if not word.startswith("--config.") and word.partition("=")[0] not in flags]
        if unknown or (overrides and not span.endswith(PLACEHOLDERS) and not accepted(overrides)):
            wrong.append((page, span))
    assert not wrong


def test_keys_and_names_with_a_dot_exist():
    wrong = []
    for page, span in spans():
        found = KEY.fullmatch(span)
        if not found or FILE.fullmatch(span) or span in LOADED or span.endswith(PLACEHOLDERS):
            continue
        fits = known(found[1]) or resolved(found[1]) if found[2] is None else accepted([f"{found[1]}={found[2]}"])
        if not fits:
            wrong.append((page, span))
    assert not wrong


def resolved(name):
    """Whether a name with dots is that of a module, or of something in a module of the package or of jax."""
    head, _, rest = name.replace("jnp.", "jax.numpy.").partition(".")
    files = [*(ROOT / "ternary_jax").rglob(f"{head}.py"), *(ROOT / "ternary_jax").rglob(f"{head}/__init__.py")]
    modules = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return any(
        reached(module, rest)
        for module in [*modules, *([head] if head in ("jax", "matplotlib", "ternary_jax") else [])]
    )


def reached(module, rest):
    """Whether the dotted name `rest` is found from the module on: submodules and attributes."""
    found = importlib.import_module(module)
    for part in rest.split("."):
        if not hasattr(found, part):
            try:
                importlib.import_module(f"{found.__name__}.{part}")
            except (ImportError, AttributeError):
                return False
        found = getattr(found, part)
    return True


def test_files_and_folders_exist():
    """In the checkout, by the end of their path, or as a name that the package writes, such as `metrics.jsonl`."""
    paths = [f"/{path.relative_to(ROOT)}{'/' * path.is_dir()}" for path in listed()]
    package = "\n".join(file.read_text() for file in (ROOT / "ternary_jax").rglob("*.py"))
    wrong = []
    for page, span in spans():
        if not FILE.fullmatch(span) or OF_THE_DOCUMENTS.fullmatch(span) or span in OF_JAX:
            continue
        written = re.split(r"[*\d]", Path(span).name)[0]
        if not any(path.endswith(f"/{span}") for path in paths) and not (written and written in package):
            wrong.append((page, span))
    assert not wrong


def listed():
    top = [path for path in ROOT.iterdir() if path.name in (".ci", "docs", "results") or path.suffix]
    folders = ("ternary_jax", "configs", "experiments", "tests", "docs", "results", "notebooks")
    inner = [path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    return [*top, *(ROOT / folder for folder in folders), *inner]


def test_variants_of_configs_exist():
    wrong = []
    for page, span in spans():
        found = VARIANT.fullmatch(span)
        if found and not span.endswith(PLACEHOLDERS):
            try:
                load_config(f"{found[1]}:{found[2]}")
            except ConfigError as e:
                wrong.append((page, span, str(e)))
    assert not wrong


def test_words_with_an_underscore_are_in_the_sources():
    """Metrics, rows of results, verbs, arguments. `..._own_gated` and `_of_all` are the end of a name."""
    whole, wrong = set(re.findall(r"\w+", sources())), []
    for page, span in spans():
        if OF_THE_DOCUMENTS.search(span) or FILE.fullmatch(span) or span.startswith("tests/"):
            continue
        for word in re.findall(r"\w+_[a-z]\w*", span):
            there = word in sources() if word.startswith("_") else word in whole
            wrong += [] if there else [(page, word)]
    assert not wrong


@pytest.mark.parametrize("page", [page for page in documents.PAGES if documents.fenced(page, "python")])
def test_python_blocks_compile_and_find_what_they_name(page):
    for block in documents.fenced(page, "python"):
        tree = ast.parse(block)
        imported = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for one in node.names:
                    module = importlib.import_module(one.name)
                    imported[one.asname or one.name.split(".")[0]] = (
                        module if one.asname else importlib.import_module(one.name.split(".")[0])
                    )
            elif isinstance(node, ast.ImportFrom):
                for one in node.names:
                    assert reached(node.module, one.name), f"{page.name}: {node.module} has no {one.name}"
                    imported[one.asname or one.name] = getattr(importlib.import_module(node.module or ""), one.name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
                there = hasattr(imported[node.value.id], node.attr)
                assert there, f"{page.name}: {node.value.id} has no {node.attr}"
