"""Holds what a preset says of an engine against the engine's own texts, which are never imported.

Standard input: a JSON object with
    flags     lists of a flag and, where it is fixed, its value
    texts     metric names and URL paths
    patterns  regular expressions over log lines, by name
    help      what the engine's `--help` prints; without it, flags are looked for in the sources
    log       lines of a recorded log
    sources   files and directories: Python is read as text, anything else as bytes
Standard output: one line for each thing that is not there.
"""

import ast
import json
import re
import sys
from pathlib import Path

# What a placeholder of a log message may have been.
SAMPLES = ("1", "1.50", "CUDA graph")
# Words of a pattern that are long enough to be rare.
WORDS = re.compile(r"[A-Za-z]{4,} [A-Za-z]{3,}|[A-Za-z]{9,}")
PRINTF = re.compile(r"%[-+ #0-9.]*[sdifrg]")


def files(sources):
    for source in map(Path, sources):
        yield from source.rglob("*") if source.is_dir() else [source]


def literal(node, sample):
    """Returns the text of a literal, with a sample for each value; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return PRINTF.sub(sample, node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else sample for part in node.values)
        return "".join(parts)
    return None


def lines_of(source):
    """Yields the texts of a module, and those of each function as one: a message may be made of several."""
    for node in ast.walk(ast.parse(source)):
        for sample in SAMPLES:
            text = literal(node, sample)
            if text is not None:
                yield text
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                parts = (literal(inner, sample) for inner in ast.walk(node))
                yield " ".join(part.replace("\n", " ") for part in parts if part)


def read(sources):
    """Returns the Python sources, and the bytes of all else."""
    python, raw = [], []
    for path in files(sources):
        if path.suffix == ".py":
            python.append(path.read_text(errors="replace"))
        elif path.is_file() and path.suffix not in {".pyc", ".pyi"}:
            raw.append(path.read_bytes())
    return python, raw


def has_word(text, word):
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def main():
    held = json.load(sys.stdin)
    python, raw = read(held["sources"])
    help_text = held["help"]
    everything = "\n".join(python)

    def is_word(word):
        return f'"{word}"' in everything or f"'{word}'" in everything

    def is_flag(flag):
        if help_text:
            return has_word(help_text, flag)
        # Of a dataclass of arguments each field becomes a flag.
        field = re.escape(flag.removeprefix("--").replace("-", "_"))
        return is_word(flag) or re.search(rf"^    {field}: ", everything, re.M) is not None

    def is_somewhere(text):
        # A library adds the ending of a counter; C++ puts a prefix before each name.
        names = {text, text.removesuffix("_total")}
        if any(name in everything or any(name.encode() in data for data in raw) for name in names):
            return True
        prefix, _, name = text.rpartition(":")
        parts = [(prefix + ":").encode(), name.removesuffix("_total").encode()]
        return bool(prefix) and any(all(part in data for part in parts) for data in raw)

    for flag, *value in held["flags"]:
        if not is_flag(flag):
            print(f"flag {flag}")
        for word in value:
            if not is_word(word) and not has_word(help_text or "", word):
                print(f"value {word} of {flag}")
    for text in held["texts"]:
        if not is_somewhere(text):
            print(f"text {text}")
    missing = held["patterns"]
    # A message's own words stand in its file as in the pattern; what is not found so is looked
    # for in all files.
    words = {word for pattern in missing.values() for word in WORDS.findall(pattern)}
    with_words = [source for source in python if any(word in source for word in words)]
    for sources in with_words, python:
        if missing:
            made = (line for source in sources for line in lines_of(source))
            lines = "\n".join([*held["log"], *made])
            missing = {name: pattern for name, pattern in missing.items() if not re.search(pattern, lines)}
    for name, pattern in missing.items():
        compiled = (data for data in raw if data.startswith(b"\x7fELF"))
        if not any(re.search(pattern.encode(), data) for data in compiled):
            print(f"pattern {name}: {pattern}")


main()
