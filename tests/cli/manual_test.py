#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The manual pages say what the programs and headers say, and the other way round.  TAP on standard output.

Options: each `--word` of a command's --help is in its page and each `.Fl -word` that a page lists is in --help; so are the words of
SPECs (`word=`), and each option that the source takes is in some --help.  Functions: the SYNOPSIS of a page of section 3 compiles behind the
header that it names, which has no function that is in no page; programs in its EXAMPLES compile and link as they stand.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

RINGSIDE = os.environ["RINGSIDE"]
CC = os.environ.get("CC", "cc").split()
TOP = Path(__file__).resolve().parents[2]
MAN = TOP / "docs/man"
COMMANDS = ("serve", "pc", "tree", "ctl", "bench", "conform", "replay", "cow")
results = []


def case(name, evidence):
    """Passes without evidence of the contrary."""
    results.append(not evidence)
    print(f"{'not ok' if evidence else 'ok'} {len(results)} - {name}")
    for line in evidence:
        print("#   " + line)
    sys.stdout.flush()


def help_of(*command):
    return subprocess.run([RINGSIDE, *command, "--help"], capture_output=True, text=True, check=True, timeout=20).stdout


def terms(text):
    """What stands before the explanation, in the lines that have one."""
    return [re.sub(r"\s{2,}\S.*$", "", line.strip()) for line in text.splitlines() if re.match(r"  \S", line)]


def options_of_help(text):
    return {w for term in terms(text) if term.startswith("-") for w in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", term)} | \
        set(re.findall(r"\(also: --([a-z-]+)\)", text))


def words_of_help(text):
    """Words of SPECs: a line of two blanks, the word, and an equals sign; `a=off, b=off` are two."""
    return {w for term in terms(text) for w in re.findall(r"(?:^|, )([a-z.-]+)=", term)} | set(re.findall(r"\(also: ([a-z][a-z-]*)\)", text))


def page(name):
    return (MAN / name).read_text()


def items(text):
    return [line for line in text.splitlines() if line.startswith(".It ")]


def options_of_page(text):
    return {w for line in items(text) for w in re.findall(r"Fl -([a-z][a-z-]*)", line)}


def words_of_page(text):
    return {w for line in items(text) for w in re.findall(r"(?:Cm|,) ([a-z.-]+)=", line)}


def compare(name, help_words, page_words):
    case(name, [f"only in --help: {w}" for w in sorted(help_words - page_words)] +
         [f"only in the page: {w}" for w in sorted(page_words - help_words)])


def commands():
    general = {"help", "version"}
    compare("options_of_ringside", options_of_help(help_of()), options_of_page(page("ringside.1")))
    pc = options_of_page(page("ringside-pc.1"))
    for command in COMMANDS:
        mine = options_of_page(page(f"ringside-{command}.1"))
        told = options_of_help(help_of(command))
        compare(f"options_of_{command}", told - general,
                (mine | pc if command == "tree" else mine) - general)
    for command in ("serve", "pc"):
        # The page of pc leaves the words of a disk to that of serve.
        pages = words_of_page(page(f"ringside-{command}.1")) | (words_of_page(page("ringside-serve.1")) if command == "pc" else set())
        compare(f"words_of_specs_of_{command}", words_of_help(help_of(command)), pages)
    every = {w for command in COMMANDS for w in options_of_help(help_of(command))} | {"help"}
    taken = {w for path in (TOP / "src/cli").glob("*.c")
             for w in re.findall(r'\{"([a-z][a-z-]+)", (?:no|required|optional)_argument', path.read_text())}
    case("every_option_that_is_taken_is_told", [f"in no --help: {w}" for w in sorted(taken - every)])
    listed = set(re.findall(r"^  ([a-z]+) ", help_of(), re.MULTILINE))
    case("every_command_has_a_page", [c for c in sorted(listed) if not (MAN / f"ringside-{c}.1").exists()] +
         [c for c in sorted(listed ^ set(COMMANDS))])
    # groff repeats one word of the name only, mandoc all of it.
    case("a_name_of_two_words_is_quoted", [c for c in COMMANDS if f'.Sh NAME\n.Nm "ringside {c}"\n' not in page(f"ringside-{c}.1")])
    for command in COMMANDS:
        short = subprocess.run([RINGSIDE, command, "-h"], capture_output=True, text=True, check=False, timeout=20)
        case(f"short_help_of_{command}", [] if short.stdout == help_of(command) and not short.returncode else [short.stderr])


def compiled(source, *flags, libraries=()):
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "page.c"
        path.write_text(source)
        got = subprocess.run([*CC, "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", str(TOP / "include"), *flags, "-o", f"{home}/page", str(path), *libraries],
                             capture_output=True, text=True, check=False, timeout=60)
        return [] if not got.returncode else got.stderr.splitlines()


def synopsis(text):
    part = re.search(r"^\.Sh SYNOPSIS\n(.*?)^\.Sh ", text, re.MULTILINE | re.DOTALL).group(1)
    source, names, kind = "", set(), None
    for line in part.splitlines():
        if line.startswith(".In "):
            source += f"#include <{line[4:]}>\n"
        elif line.startswith(".Ft "):
            kind = line[4:]
        elif line.startswith(".Fn "):
            name, rest = re.match(r"\.Fn (\w+)(.*)", line).groups()
            names.add(name)
            arguments = [quoted or word for quoted, word in re.findall(r'"([^"]*)"|(\S+)', rest)]
            source += f"{kind} {name}({', '.join(arguments)});\n"
    return source, names


def functions():
    for name in ("driver", "server"):
        text = page(f"ringside-{name}.3")
        source, told = synopsis(text)
        case(f"synopsis_of_{name}_compiles", compiled(source, "-c", "-pedantic"))
        header = (TOP / f"include/ringside/{name}.h").read_text()
        declared = set(re.findall(r"\b(ringside_\w+)\(", "".join(re.findall(r"RINGSIDE_API[^;]*;", header))))
        case(f"every_function_of_{name}_h_is_told", sorted(declared - told) + sorted(n for n in told - declared if n != "ringside_version"))
        if os.environ.get("LIBRINGSIDE"):
            for block in re.findall(r"^\.Bd.*?\n(.*?)^\.Ed", text, re.MULTILINE | re.DOTALL):
                if "int main(" in block:
                    block = block.replace("\\e", "\\").replace("\\&", "")
                    case(f"example_of_{name}_compiles", compiled(block, libraries=os.environ["LIBRINGSIDE"].split()))


commands()
functions()
print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)
