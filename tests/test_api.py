"Whatever a reader can call is explained: public functions, classes and methods have docstrings."
import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(p for p in (ROOT/'ltseg').glob('*.py') if not p.stem.startswith('_'))
WAITING = set() # modules with names that have none yet
# Called by torch and Lightning; the class says what goes in and comes out
HOOKS = {'forward', 'on_train_start', 'on_validation_epoch_start', 'on_validation_batch_end', 'on_validation_epoch_end'}


def names(code: ast.Module) -> list:
    "Of `__all__`, as it stands in the code."
    return next(ast.literal_eval(n.value) for n in code.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == '__all__')


def is_patch(node) -> bool: return any(ast.unparse(d).startswith('patch') for d in node.decorator_list)


def public(code: ast.Module):
    "(name, node) of all that is public: what `__all__` names, the methods of its classes, and methods that are patched in."
    for node in code.body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)): continue
        if node.name in names(code) or (is_patch(node) and not node.name.startswith('_')): yield node.name, node
        if isinstance(node, ast.ClassDef) and node.name in names(code):
            yield from ((f'{node.name}.{m.name}', m) for m in node.body if isinstance(m, ast.FunctionDef) and not m.name.startswith('_'))


@pytest.mark.parametrize('module', MODULES, ids=lambda p: p.stem)
def test_public_names_have_docstrings(module):
    bare = [name for name, node in public(ast.parse(module.read_text(encoding='utf8')))
            if node.name not in HOOKS and not ast.get_docstring(node)]
    if bare and module.stem in WAITING: pytest.xfail(f'no docstring: {bare}')
    assert not bare, f'{module.name}: no docstring for {bare}'
