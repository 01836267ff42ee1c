"""The names of W&B that a program uses and that do not work as in W&B, found in its source without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import lightsweep
from lightsweep.channel.messages import StartReply
from lightsweep.errors import LightsweepError, closest
from lightsweep.schema.source import Module
from lightsweep.wandb import FILE, INTEGRATIONS, MODULES, NAMES, NOTHING, REFUSED, RUN_NAMES, WORKS, Name, find

LABELS = {REFUSED: "not found", NOTHING: "no effect", FILE: "as files"}
"""The kinds of names that are listed, the most important first, each with its label."""

_PACKAGES = ("wandb", "lightsweep")
_STAND_IN = (
    "give `--stand-in wandb` (in the file: `lightsweep: {stand_in: wandb}`), or write `import lightsweep as wandb`"
)
_HERE = Path(lightsweep.__file__).parent.parent


@dataclass(frozen=True)
class Use:
    """A name of W&B in a program.

    Attributes:
        name: As it is in W&B: ``wandb.Image``, ``run.watch``.
        kind: One of the keys of `LABELS`.
        says: What it does here, or what to do instead.
        file: The file, as `Module` has it.
        line: The line of its first use there.
    """

    name: str
    kind: str
    says: str
    file: str
    line: int


def uses_of_wandb(modules: Iterable[Module], *, stand_in: bool) -> list[Use]:
    """Return the names of W&B that are not found, have no effect or are kept as files, each once, by kind and place.

    Names are followed from ``import wandb``, ``import lightsweep as wandb`` and ``from wandb import ...``, and from
    variables to which ``init()`` is assigned, in the scope of the variable. Names that the program computes, and runs
    that are passed on as arguments, are not seen.

    Args:
        modules: The program, first, and modules that it imports.
        stand_in: Whether ``import wandb`` finds lightsweep's stand-in; else only ``import lightsweep`` counts.
    """
    packages = _PACKAGES if stand_in else _PACKAGES[1:]
    found: dict[str, Use] = {}
    for module in modules:
        for dotted, line in sorted(_Reader(packages).read(module.tree), key=lambda each: each[1]):
            kind, says = _judged(dotted)
            name = dotted if dotted.startswith("run.") else f"wandb.{dotted}"
            if kind != WORKS and name not in found:
                found[name] = Use(name, kind, says, module.file, line)
    order = list(LABELS)
    listed = [use for use in found.values() if not any(name.startswith(f"{use.name}.") for name in found)]
    return sorted(listed, key=lambda use: order.index(use.kind))


def reports_to_wandb_only(modules: Iterable[Module]) -> str:
    """Return a warning if a program imports W&B itself and nothing of lightsweep; empty otherwise."""
    place = None
    for module in modules:
        for node in ast.walk(module.tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            packages = {name.partition(".")[0] for name in names}
            if "lightsweep" in packages:
                return ""
            if "wandb" in packages and place is None and isinstance(node, ast.stmt):
                place = f"{module.file}:{node.lineno}"
    return f"{place} imports W&B itself, which reports nothing to the sweep; {_STAND_IN}" if place else ""


def _judged(dotted: str) -> tuple[str, str]:
    """Return the kind of a name and what to say of it.

    ``run.NAME`` is a name of a run, ``Api().NAME`` one of the API, and any other one a name of the package.
    """
    owner, _, name = dotted.rpartition(".")
    made, call, of_made = dotted.rpartition("()")
    if call:
        return _of_api(made + call, of_made.split(".")[1])
    head, _, rest = dotted.partition(".")
    if owner == "run" or dotted.startswith("run."):
        name = rest.partition(".")[0]
        of_run = RUN_NAMES.get(name)
        if of_run is None:
            ours = name in dir(lightsweep.Run(None, StartReply(), {}))
            return (WORKS, "") if ours else (REFUSED, _unknown(name, RUN_NAMES))
        return of_run.kind, _said(of_run)
    known = NAMES.get(head)
    if head == "integration" and rest:
        name_of_it = rest.partition(".")[0]
        known = INTEGRATIONS.get(name_of_it)
        if known is None:
            return REFUSED, _unknown(name_of_it, INTEGRATIONS)
        if known.kind == REFUSED:
            return REFUSED, known.says
    names = _names_of_module(dotted) if rest else None
    if names is not None:
        if name not in names:
            return REFUSED, _unknown(name, names)
        return (known.kind, _said(known)) if known else (WORKS, "")
    if known is None:
        ours = (
            head in lightsweep.__all__
            or head.startswith("__")
            or find_spec(f"lightsweep.{head}") is not None
            or head in MODULES
        )
        return (WORKS, "") if ours else (REFUSED, _unknown(head, NAMES))
    if rest and known.kind != REFUSED and (missing := _missing(head, rest)):
        return REFUSED, missing
    return known.kind, _said(known)


def _said(known: Name) -> str:
    """Return what the table says of a name; instead of ``see `wandb.watch` `` what it says of that one."""
    if known.says.startswith("see `wandb.") and known.says.endswith("`"):
        return NAMES[known.says[len("see `wandb.") : -1]].says
    return known.says


def _unknown(name: str, known: Iterable[str]) -> str:
    return f"lightsweep has no such name{closest(name, known)}"


def _missing(head: str, rest: str) -> str:
    """Return the message for a name that a module of lightsweep lacks; empty if the module has it."""
    if not NAMES[head].home.startswith("lightsweep.wandb."):
        return ""
    try:
        level = find(head)
    except (ImportError, AttributeError, LightsweepError):  # `wandb.summary` needs a run
        return ""
    for part in rest.split("."):
        if not isinstance(level, ModuleType):
            return ""
        if not hasattr(level, part):
            return _unknown(part, [name for name in dir(level) if not name.startswith("_")])
        level = getattr(level, part)
    return ""


def _names_of_module(dotted: str) -> set[str] | None:
    """Return the names of the module of callbacks in which a name is looked up; ``None`` for all other names."""
    if dotted in MODULES:
        return {dotted.rpartition(".")[2]}
    home = MODULES.get(dotted.rpartition(".")[0], "")
    if not home.startswith("lightsweep.wandb.integration."):
        return None
    return _names_in(_HERE.joinpath(*home.split(".")).with_suffix(".py"))


def _names_in(path: Path) -> set[str]:
    """Return the names of a module of lightsweep by its source, since an import may load a trainer's library."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        else:
            names |= {target.id for target, _, _ in _assigned(node) if isinstance(target, ast.Name)}
    return names


def _of_api(owner: str, name: str) -> tuple[str, str]:
    from lightsweep.wandb import api, kept

    kind = {"Api()": api.Api, "Api().run()": api.Run, "Api().sweep()": api.Sweep, "Api().runs()": api.Runs}[owner]
    noted = [name for each in kind.__mro__ for name in getattr(each, "__annotations__", ())]
    known = [*dir(kind), *noted]
    if name in known:
        return WORKS, ""
    return REFUSED, kept.INSTEAD.get(name) or _unknown(name, known)


class _Scope:
    """The meanings of names in a function, a class or a module: ``""`` for the package, ``run``, or a dotted name.

    Attributes:
        globals: Names that belong to the module.
        owner: The scope that has attributes such as ``self.run``: the class, or the module.
    """

    def __init__(self, above: _Scope | None, *, is_class: bool = False) -> None:
        self.above = above
        self.owner: _Scope = self if is_class or above is None else above.owner
        self.globals: set[str] = set()
        self.names: dict[str, str | None] = {}

    def bind(self, name: str, meaning: str | None) -> None:
        """Note a meaning; a name with two of them has none."""
        if name in self.globals and self.above is not None:
            self.top.bind(name, meaning)
            return
        self.names[name] = meaning if self.names.get(name, meaning) == meaning else None

    @property
    def top(self) -> _Scope:
        """The scope of the module."""
        return self if self.above is None else self.above.top

    def find(self, name: str) -> str | None:
        """Return the meaning of a name here."""
        if name in self.names:
            return self.names[name]
        return self.above.find(name) if self.above else None


_MADE_BY = {
    "init": "run",
    "Api": "Api()",
    "apis.public.Api": "Api()",
    "Api().run": "Api().run()",
    "Api().runs": "Api().runs()",
    "Api().sweep": "Api().sweep()",
    "Api().sweep().best_run": "Api().run()",
    "sdk.wandb_run.Run": "run",
    "wandb_run.Run": "run",
    "Run": "run",
}
"""What a call makes; also what a parameter with such an annotation is."""

_ITEMS = {"Api().runs()": "Api().run()", "Api().sweep().runs": "Api().run()"}
"""What the items of a list are."""


class _Reader:
    """Finds the names of the packages in one module."""

    def __init__(self, packages: Iterable[str]) -> None:
        self._packages = tuple(packages)
        self._scopes: list[tuple[_Scope, list[ast.AST]]] = []
        self._found: list[tuple[str, int]] = []

    def read(self, tree: ast.Module) -> list[tuple[str, int]]:
        """Return each name with its line: ``Image``, ``plot.line``, ``run.watch``."""
        self._visit(tree, _Scope(None))
        inner: set[int] = set()  # the beginnings of longer names
        for scope, nodes in self._scopes:
            for node in nodes:
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    meaning = self._meaning(node, scope)
                    own = meaning and meaning not in ("run", *_ITEMS) and not meaning.endswith("()")
                    if own and id(node) not in inner:
                        self._found.append((str(meaning), node.lineno))
                    if meaning:
                        inner.add(id(node.value))
        return self._found

    def _visit(self, node: ast.AST, scope: _Scope) -> None:
        """Note the meanings of names in a scope, then in those inside of it."""
        nodes = list(_of_scope(node))
        self._scopes.append((scope, nodes))
        scope.globals = {name for each in nodes if isinstance(each, ast.Global) for name in each.names}
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                meaning = self._meaning(_annotation(argument.annotation), scope)
                scope.bind(argument.arg, "run" if meaning and _MADE_BY.get(meaning) == "run" else None)
        for each in nodes:
            if isinstance(each, ast.Import):
                self._bind_modules(each, scope)
            elif isinstance(each, ast.ImportFrom):
                self._bind_names(each, scope)
            else:
                self._bind_values(each, scope)
        for each in nodes:
            if isinstance(each, _SCOPES):
                self._visit(each, _Scope(scope, is_class=isinstance(each, ast.ClassDef)))

    def _bind_modules(self, node: ast.Import, scope: _Scope) -> None:
        for alias in node.names:
            package, _, rest = alias.name.partition(".")
            ours = package in self._packages
            scope.bind(alias.asname or package, (rest if alias.asname else "") if ours else None)
            if ours and rest and package == "wandb":
                self._found.append((rest, node.lineno))

    def _bind_names(self, node: ast.ImportFrom, scope: _Scope) -> None:
        package, _, rest = (node.module or "").partition(".")
        ours = not node.level and package in self._packages and not (rest and package == "lightsweep")
        for alias in node.names:
            dotted = f"{rest}.{alias.name}" if rest else alias.name
            scope.bind(alias.asname or alias.name, dotted if ours else None)
            if ours and alias.name != "*":
                self._found.append((dotted, node.lineno))

    def _bind_values(self, node: ast.AST, scope: _Scope) -> None:
        for target, value, is_item in _assigned(node):
            meaning = self._meaning(value, scope)
            meaning = _ITEMS.get(meaning or "") if is_item else meaning
            if isinstance(value, ast.Constant) and value.value is None:
                continue  # run = None, before init()
            if isinstance(target, ast.Name):
                scope.bind(target.id, meaning)
            elif isinstance(target, ast.Attribute):
                scope.owner.bind(ast.unparse(target), meaning)

    def _meaning(self, value: ast.AST | None, scope: _Scope) -> str | None:
        """Return the meaning of an expression; ``None`` if it is not a name of the packages."""
        if isinstance(value, ast.Name):
            return scope.find(value.id)
        if isinstance(value, ast.Attribute):
            if (kept := scope.find(ast.unparse(value))) is not None:
                return kept
            below = self._meaning(value.value, scope)
            return None if below is None else f"{below}.{value.attr}".lstrip(".")
        if isinstance(value, ast.IfExp):
            return self._meaning(value.body, scope) or self._meaning(value.orelse, scope)
        if isinstance(value, ast.Call):
            return _MADE_BY.get(self._meaning(value.func, scope) or "")
        return None


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def _annotation(node: ast.AST | None) -> ast.AST | None:
    """Return the type of an annotation, also of one in quotes, or with ``| None`` or ``Optional``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return _annotation(ast.parse(node.value, mode="eval").body)
        except SyntaxError:
            return None
    if isinstance(node, ast.BinOp):
        return _annotation(node.left)
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2] == "Optional":
        return _annotation(node.slice)
    return node


def _of_scope(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, in the order of the text; of the scopes inside of it only their heads."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _of_scope(child)
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for head in (*child.decorator_list, child.args, *filter(None, [child.returns])):
                yield head
                yield from _of_scope(head)


def _assigned(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST | None, bool]]:
    """Yield each target of a statement, the value that it gets (``None``: not known), and whether it gets its items."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, (ast.Tuple, ast.List)):
                yield from ((each, None, False) for each in target.elts)
            else:
                yield target, node.value, False
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
        yield node.target, node.value, False
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield node.optional_vars, node.context_expr, False
    elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        yield node.target, node.iter, True
