"""YAML to plain data, strictly: string keys, each once a mapping, and no value that builds an object.

PyYAML's own constructor lets the last of two equal keys win and turns ``2024-01-01: …`` into a date key. So the file is
read as a tree of nodes, and the data is built from it here, with the path to each problem at hand.
"""

from __future__ import annotations

from typing import Any

import yaml
from yaml.constructor import ConstructorError, SafeConstructor

from schemas.api.problems import Problem, path_text, shown

Path = tuple[int | str, ...]

_MAPPING = "tag:yaml.org,2002:map"
_SEQUENCE = "tag:yaml.org,2002:seq"
_BOOL = "tag:yaml.org,2002:bool"
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_MERGE = "tag:yaml.org,2002:merge"


def parse(text: bytes) -> tuple[Any, list[Problem]]:
    """Return the one document in ``text`` and what is wrong with it; the data counts only if nothing is.

    An empty document is None.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        builder = _Builder()
        data = None if node is None else builder.build(node, ())
    except yaml.YAMLError as err:
        return None, [_syntax_problem(err)]
    except RecursionError:
        return None, [Problem("", "is nested too deeply")]
    return data, builder.problems


def dump(data: Any, *, is_plain: bool = True) -> str:
    """Return plain data as YAML for people: texts of several lines as blocks, unless ``is_plain`` is false."""
    return yaml.dump(
        data, Dumper=_Dumper if is_plain else yaml.SafeDumper, allow_unicode=is_plain, sort_keys=False, width=120
    )


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - likewise
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


class _Builder:
    """Builds one document's data, and notes every problem on the way."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._scalars = SafeConstructor()
        self._built: dict[int, Any] = {}
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: Path) -> Any:
        """Return the node's data; an alias shares the data of its anchor, so that aliases of aliases cost nothing."""
        if id(node) in self._open:
            return self._refuse(path, "an alias must not stand inside its own anchor", node)
        if id(node) not in self._built:
            self._open.add(id(node))
            self._built[id(node)] = self._value(node, path)
            self._open.remove(id(node))
        return self._built[id(node)]

    def _value(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == _MAPPING:
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQUENCE:
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        return self._refuse(path, f"must be plain YAML, got the tag {node.tag}", node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in mapping:
                self._refuse((*path, key), "duplicate key in its mapping", key_node)
            mapping[key] = self.build(value_node, (*path, key))
        return mapping

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        if node.tag == _MERGE:
            self._refuse(path, "merge keys (<<) are not supported: write the fields out", node)
        elif not isinstance(node, yaml.ScalarNode):
            self._refuse(path, "every key must be a string, got a mapping or a list", node)
        elif isinstance(key := self._scalar(node, path), str):
            return key
        else:
            self._refuse(path, f"every key must be a string, got {shown(key)}", node)
        return None

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if _is_old_notation(node):
            return node.value
        try:
            return self._scalars.construct_object(node)
        except (ConstructorError, ValueError, OverflowError):
            return self._refuse(
                path, f"must be a plain value, got {shown(node.value)}: quote it to make a string", node
            )

    def _refuse(self, path: Path, message: str, node: yaml.Node) -> Any:
        """Note a problem; None stands for the value."""
        line = node.start_mark.line + 1
        self.problems.append(Problem(path_text(path), f"{message} (line {line})"))


def _is_old_notation(node: yaml.ScalarNode) -> bool:
    """Tell a word that only YAML 1.1 takes for something else: ``no`` for false, ``12:30`` for 750."""
    if node.tag == _BOOL:
        return node.value.lower() not in {"true", "false"}
    return node.tag in _NUMBERS and ":" in node.value


def _syntax_problem(err: yaml.YAMLError) -> Problem:
    if isinstance(err, yaml.MarkedYAMLError) and err.problem_mark is not None:
        mark = err.problem_mark
        return Problem(f"line {mark.line + 1}, column {mark.column + 1}", f"is not valid YAML: {err.problem}")
    return Problem("", f"is not valid YAML: {' '.join(str(err).split())}")
