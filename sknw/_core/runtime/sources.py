"""Source code that a compiled function depends on.

A top-level statement of a module depends on the statements that define the names in it, in the same module or where
they are imported from. It also depends on overloads registered for a function. The digest of a function covers
all statements that it depends on, directly or indirectly.
"""

import ast
import functools
import hashlib
from typing import NamedTuple

#: Decorator that registers an implementation for its argument.
_OVERLOAD = "overload_jit"


class _Module(NamedTuple):
    """A source file.

    Attributes
    ----------
    texts : dict of str to list of bytes
        Statements that define each name.
    uses : dict of str to set of str
        Names in these statements.
    imports : dict of str to tuple (path, str)
        Names imported from files of the package, within functions too.
    """

    texts: dict
    uses: dict
    imports: dict


@functools.cache
def digest_of(path, name):
    """Digest of all sources that a definition depends on; None if it or a file cannot be read."""
    digest, todo, done = hashlib.sha256(), [(path, name)], set()
    while todo:
        path, name = todo.pop()
        if (path, name) in done:
            continue
        done.add((path, name))
        module = _read(path)
        if module is None:
            return None
        if name in module.imports:
            todo.append(module.imports[name])
        elif name in module.texts:
            todo += [(path, used) for used in module.uses[name]]
        elif len(done) == 1:
            return None
    for path, name in sorted(done):
        for text in _read(path).texts.get(name, ()):
            digest.update(f"{path.name} {name} {len(text)} ".encode() + text)
    return digest.hexdigest()[:16]


@functools.cache
def _read(path):
    """Definitions and imports of a file; None if it cannot be read, as in an archive."""
    try:
        source = path.read_bytes()
    except OSError:
        return None
    lines, module = source.splitlines(), _Module({}, {}, {})
    for node in ast.parse(source).body:
        names, used = _defined(node), set()
        for child in ast.walk(node):
            if isinstance(child, ast.Name):
                used.add(child.id)
            elif isinstance(child, ast.ImportFrom) and child.level:
                _add_import(module.imports, path, child)
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
        text = b"\n".join(lines[first - 1 : node.end_lineno])
        for name in names:
            module.texts.setdefault(name, []).append(text)
            module.uses.setdefault(name, set()).update(used)
    return module


def _defined(node):
    """Names that a statement defines, changes, or registers an implementation of."""
    calls = [
        child for child in ast.walk(node) if isinstance(child, ast.Call) and getattr(child.func, "id", "") == _OVERLOAD
    ]
    stands_for = [call.args[0].id for call in calls if call.args and isinstance(call.args[0], ast.Name)]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name, *stands_for]
    targets = [*getattr(node, "targets", []), getattr(node, "target", None)]
    parts = [child for target in targets if target is not None for child in ast.walk(target)]
    return [*stands_for, *(child.id for child in parts if isinstance(child, ast.Name))]


def _add_import(imports, path, node):
    """Record where the names of a relative import are defined."""
    folder = path.parents[node.level - 1]
    module = folder.joinpath(*(node.module or "").split("."))
    for alias in node.names:
        target = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        imports[alias.asname or alias.name] = target, alias.name
