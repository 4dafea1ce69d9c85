"""The rules of this repository as pure functions: text of a file in, complaints out.

What each forbids stands at the top as data; `test_tidy.py` runs them over the tree and over planted
breaches.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

FUNCTION_LINES_MAX = 70

# Word -> what to do instead.
FORBIDDEN_WORDS = {
    r"\b(TO[D]O|FIX[M]E|X[X]X)\b": "finish it, or write it down where it is planned",
    r"\b(pypi|pythonhosted|npmjs|crates|maven(\.apache)?)\.(org|com|io)\b": "name no registry host",
    r"/wor[k]/|\.librar[y]/": "the project knows nothing of the machine it was written on",
}
# Module -> what to use instead, in code that runs in production.
FORBIDDEN_CLOCKS = {"time": "bus.clock.Clock", "random": "bus.clock.Clock.chance"}
FORBIDDEN_NOW = {"now", "utcnow", "today"}
FORBIDDEN_MOCKS = {"unittest.mock", "mock", "pytest_mock"}
FORBIDDEN_PATCHES = {"setattr", "delattr", "setitem", "delitem"}

Rule = Callable[[str], list[str]]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def words(text: str) -> list[str]:
    """No leftover notes, registry hosts or paths of a workbench, in any file."""
    return [
        f"line {number}: {line.strip()[:60]!r}: {instead}"
        for number, line in enumerate(text.splitlines(), 1)
        for word, instead in FORBIDDEN_WORDS.items()
        if re.search(word, line)
    ]


def sizes(text: str) -> list[str]:
    """A function fits on a screen; a module is as long as its concept."""
    return [
        f"line {node.lineno}: {node.name} has {_lines(node)} lines, at most {FUNCTION_LINES_MAX}"
        for node in _functions(text)
        if _lines(node) > FUNCTION_LINES_MAX
    ]


def docstring(text: str) -> list[str]:
    """A module opens with what it promises."""
    return [] if ast.get_docstring(ast.parse(text)) else ["the module has no docstring"]


def clocks(text: str) -> list[str]:
    """Time and chance are arguments; only `bus/clock.py` asks the machine."""
    imports = [
        f"line {line}: import of {name}: take {FORBIDDEN_CLOCKS[name]} as an argument"
        for line, name in _imports(text)
        if name in FORBIDDEN_CLOCKS
    ]
    return imports + [
        f"line {node.lineno}: {ast.unparse(node)}: take bus.clock.Clock as an argument"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
        and node.attr in FORBIDDEN_NOW
        and ast.unparse(node.value).split(".")[-1] in {"datetime", "date"}
    ]


def mocks(text: str) -> list[str]:
    """Tests hand the outside world in; nobody patches our code."""
    imports = [f"line {line}: {name}" for line, name in _imports(text) if name in FORBIDDEN_MOCKS]
    return imports + [
        f"line {node.lineno}: {ast.unparse(node)}: hand the collaborator in instead"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
        and node.attr in FORBIDDEN_PATCHES
        and ast.unparse(node.value) == "monkeypatch"
    ]


def sleeps(text: str) -> list[str]:
    """A unit test never waits for real time; `asyncio.sleep(0)` gives others a turn."""
    return [
        f"line {node.lineno}: {ast.unparse(node)}: move a clock by hand instead"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"asyncio.sleep", "time.sleep", "sleep"}
        and ast.unparse(node).split("(")[-1] != "0)"
    ]


def claims(text: str) -> list[str]:
    """Each test says in one line what it claims."""
    return [
        f"line {node.lineno}: {node.name} needs a docstring of one line: its claim"
        for node in _functions(text)
        if node.name.startswith("test_") and len((ast.get_docstring(node) or "\n").split("\n")) > 1
    ]


def _functions(text: str) -> Iterator[FunctionNode]:
    return (node for node in ast.walk(ast.parse(text)) if isinstance(node, FunctionNode))


def _lines(node: FunctionNode) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _imports(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
