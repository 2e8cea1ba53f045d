"""The tree keeps the rules of rules.py. Each failure names file:line and what to do."""
import os
import pathlib
import subprocess
import tomllib

import pytest

import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = {"build", ".git", ".ccache", "__pycache__", ".pytest_cache", "node_modules"}
TEXT = {".cc", ".c", ".h", ".sql", ".control", ".py", ".sh", ".md", ".txt", ".cmake", ".json", ".toml", ".service", ".js", ".css", ".html", ""}
THIS = "tests/tidy/"  # holds the patterns and the bad examples


def tree():
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in sorted(files) if name not in SKIPPED]
    return [path for path in found if pathlib.PurePath(path).suffix in TEXT]


FILES = {path: (ROOT / path).read_text(encoding="utf-8", errors="replace") for path in tree()}
CPP = {path: text for path, text in FILES.items() if path.endswith((".cc", ".c", ".h"))}
SOURCES = {path: text for path, text in CPP.items() if path.startswith("src/")}
LAYERS = rules.layers(FILES["CMakeLists.txt"])
RATCHET = tomllib.loads(FILES[THIS + "ratchet.toml"])


def hold(problems):
    if problems:
        pytest.fail("\n" + "\n".join(problems), pytrace=False)


def over(files, rule):
    hold([f"{path}:{problem}" for path, text in files.items() for problem in rule(path, text)])


def test_layers_are_declared_bottom_up():
    assert LAYERS
    hold(rules.layer_order(LAYERS))


def test_a_folder_includes_only_its_declared_dependencies():
    over(SOURCES, lambda path, text: rules.includes(path, text, LAYERS))


def test_pure_code_reads_no_clock_socket_thread_or_chance():
    over(SOURCES, rules.purity)


def test_asio_and_libpq_have_one_door_each():
    over(SOURCES, rules.doors)


def test_names_say_something():
    over(FILES, lambda path, text: rules.names(path))


def test_wording():
    over({path: text for path, text in FILES.items() if not path.startswith(THIS)}, rules.wording)


def ratchet(section, limit, lengths):
    allowed, problems = dict(RATCHET[section]), []
    for name, lines in lengths.items():
        number = allowed.pop(name, None)
        if lines > max(limit, number or 0):
            problems.append(f"{name}: {lines} lines, at most {number or limit}. mend: split it where the subject changes")
        elif number is not None and lines < number:
            what = f"to {lines}" if lines > limit else "by removing the entry"
            problems.append(f"{name}: {lines} lines now; lower ratchet.toml [{section}] {what}")
    hold(problems + [f"{name}: in ratchet.toml [{section}] but not in the tree" for name in allowed])


def test_files_are_short():
    code = {path: text for path, text in FILES.items() if path.endswith((".cc", ".c", ".h", ".py", ".sh", ".js"))}
    ratchet("file_lines", rules.FILE_LINES_MAX, {path: text.count("\n") for path, text in code.items()})


def test_functions_are_short():
    lengths = {}
    for path, text in CPP.items():
        for name, _, lines in rules.functions(text):
            key = f"{path} {name}"
            lengths[key] = max(lines, lengths.get(key, 0))
    assert len(lengths) > 10
    ratchet("function_lines", rules.FUNCTION_LINES_MAX, lengths)


def test_headers_begin_with_what_they_are_for():
    hold([f"{path}:1: a header starts with one sentence saying what it is for" for path, text in CPP.items()
          if path.endswith(".h") and not text.startswith(("//", "/* "))])


def test_clang_format():
    if not CPP:
        pytest.fail("no sources found")
    result = subprocess.run(["clang-format-19", "--dry-run", "--Werror", *CPP], cwd=ROOT, capture_output=True, text=True)
    problems = {}
    for line in result.stderr.splitlines():
        if ": error" in line:
            path, number, *_ = line.split(":")
            problems.setdefault(path, number)
    hold([f"{path}:{number}: not formatted. mend: make format" for path, number in problems.items()])
