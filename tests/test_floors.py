"""Imports point down, also those for typing only; there are no circles."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "batchgen"

FLOORS = {
    1: ["core"],
    2: ["api", "settings", "expect", "receipts", "media", "policy", "item_table", "store", "provider", "picks"],
    3: ["catalog", "client", "journal", "download", "judging", "thumbnails", "lease"],
    4: ["manifest", "plan", "ledger", "simulator", "standing", "notifications", "shared_limits", "shards"],
    5: ["redo", "scheduler", "diff", "lock", "export", "page"],
    6: ["report", "viewer", "virtual"],
    7: ["session"],
    8: ["engine"],
    9: ["library"],
    10: ["cli"],
    11: ["__init__", "__main__"],
}
INSIDE_MANIFEST = [
    "yaml",
    "template",
    "item",
    "entry",
    "manifest_name",
    "named_files",
    "comment_cuts",
    "sheet",
    "loading",
    "__init__",
]
"""The rooms of `manifest/`, the lowest first."""
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> list[tuple[int, str]]:
    """The modules of this package that a file imports anywhere, with lines."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "batchgen" else [module]
        else:
            continue
        found += [(node.lineno, name) for name in names if name.split(".")[0] == "batchgen"]
    return found


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_every_module_has_a_floor() -> None:
    assert {room_of(path) for path in modules()} <= set(FLOOR_OF)


def test_imports_point_down() -> None:
    upward = []
    for path in modules():
        own = room_of(path)
        for line, name in imports_of(path):
            parts = name.split(".")
            other = parts[1] if len(parts) > 1 and parts[1] in FLOOR_OF else "__init__"
            if other != own and FLOOR_OF[other] >= FLOOR_OF[own]:
                upward.append(f"{path.relative_to(PACKAGE.parent)}:{line} imports {name}")
    assert not upward


def test_imports_point_down_inside_the_manifest() -> None:
    folder = PACKAGE / "manifest"
    upward = []
    for path in sorted(folder.rglob("*.py")):
        own = path.relative_to(folder).parts[0].removesuffix(".py")
        assert own in INSIDE_MANIFEST
        for line, name in imports_of(path):
            room = name.removeprefix("batchgen.manifest.").split(".")[0]
            inside = name.startswith("batchgen.manifest.") and room != own
            if inside and INSIDE_MANIFEST.index(room) >= INSIDE_MANIFEST.index(own):
                upward.append(f"{path.relative_to(folder)}:{line} imports {name}")
    assert not upward


def test_no_circles_within_a_room() -> None:
    files = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in modules()}
    edges = {name: {target for _, target in imports_of(path) if target in files} for name, path in files.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"a circle: {' -> '.join((*trail, name))}"
        if name not in done:
            for target in edges[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def test_the_tables_are_loaded_on_the_top_floor_only() -> None:
    """Everything below is given them, so that a program may bring its own. A worker is a program of its own."""
    loading = [path for path in modules() if "load_catalog" in path.read_text(encoding="utf-8")]
    rooms = {room_of(path) for path in loading}
    assert rooms == {"cli", "catalog", "engine", "library"}


OF_A_PROCESS = {"click", "gc", "signal", "uvloop"}
"""What changes a whole process, or talks to who started it: for the command line, and for it alone."""


def test_only_the_command_line_touches_the_process() -> None:
    """A session runs in programs that have signals, a terminal and settings of their own."""
    touching = []
    for path in modules():
        if room_of(path) in ("cli", "__main__") or path.name == "__main__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    found = {alias.name for alias in names} & OF_A_PROCESS
                case ast.ImportFrom(module=str(module), names=names):
                    found = {module, *(alias.name for alias in names)} & (OF_A_PROCESS | {"raise_limit"})
                case ast.Attribute(value=ast.Name(id="sys"), attr="stdout" | "stderr" as name):
                    found = {name}
                case ast.Attribute(value=ast.Name(id="os"), attr="_exit"):
                    found = {"_exit"}
                case ast.Call(func=ast.Name(id="print")):
                    found = {"print"}
                case _:
                    continue
            touching += [f"{path.relative_to(PACKAGE.parent)}:{node.lineno} {name}" for name in sorted(found)]
    assert not touching
