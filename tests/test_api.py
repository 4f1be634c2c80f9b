"Whatever a reader can call is explained: a docstring, a word on every parameter, and an example in a notebook."
import ast
import io
import json
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(p for p in (ROOT/'ltseg').glob('*.py') if not p.stem.startswith('_'))
# Called by torch and Lightning, which say what goes in; the class says what it is for
HOOKS = {'forward', 'on_train_start', 'on_validation_epoch_start', 'on_validation_batch_end', 'on_validation_epoch_end', 'setup',
         'transfer_batch_to_device', 'write_on_batch_end', 'on_predict_end'}
PLAIN = {'self', 'cls', 'progress'}
modules = pytest.mark.parametrize('module', MODULES, ids=lambda p: p.stem)


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


@modules
def test_public_names_have_docstrings(module):
    bare = [name for name, node in public(ast.parse(module.read_text(encoding='utf8')))
            if node.name not in HOOKS and not ast.get_docstring(node)]
    assert not bare, f'{module.name}: no docstring for {bare}'


def commented(source: str) -> set:
    "Lines that end in a comment."
    return {t.start[0] for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT}


def parameters(code: ast.Module):
    "(where, parameter, its node, the docstring) of all that a caller of public names can set: parameters, and fields of dataclasses."
    for name, node in public(code):
        doc = ast.get_docstring(node) or ''
        if isinstance(node, ast.ClassDef):
            fields = [f for f in node.body if isinstance(f, ast.AnnAssign)]
            yield from ((name, f.target.id, f, doc) for f in fields)
            made = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.name in ('__init__', '__call__', 'forward')]
            yield from ((f'{name}.{f.name}', a.arg, a, f'{doc} {ast.get_docstring(f)}') for f in made for a in f.args.args)
        elif node.name not in HOOKS:
            yield from ((name, a.arg, a, doc) for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs])


@modules
def test_parameters_are_explained(module):
    "Each has a comment on its line (several may share one), a field perhaps above it, or is named in the docstring."
    source = module.read_text(encoding='utf8')
    lines, above = commented(source), {n + 1 for n, line in enumerate(source.splitlines(), 1) if line.lstrip().startswith('# ')}
    said = lambda node: lines & {node.lineno, node.end_lineno} or isinstance(node, ast.AnnAssign) and node.lineno in above
    bare = [f'{where}: {name}' for where, name, node, doc in parameters(ast.parse(source))
            if name not in PLAIN and not said(node) and not re.search(rf'\b{name}\b', doc)]
    assert not bare, f'{module.name}: no word on\n' + '\n'.join(bare)


@cache
def shown() -> tuple:
    "(code that is no export and what it prints, prose) of all notebooks."
    code, prose = [], []
    for path in (ROOT/'nbs').rglob('*.ipynb'):
        if any(part.startswith(('_', '.')) for part in path.relative_to(ROOT/'nbs').parts): continue
        for cell in json.loads(path.read_text(encoding='utf8'))['cells']:
            source = ''.join(cell['source'])
            if cell['cell_type'] == 'markdown': prose.append(source)
            elif not re.match(r'#\| *export', source):
                texts = [''.join(o.get('text', '')) + ''.join(o.get('data', {}).get('text/plain', '')) for o in cell['outputs']]
                code += [re.sub(r'^(from .*)?import (\(.*?\)|.*?$)', '', source, flags=re.MULTILINE | re.DOTALL), *texts]
    return tuple(set(re.findall(r'\w+', '\n'.join(t))) for t in (code, [w for p in prose for w in re.findall(r'`[^`]*`', p)]))


@modules
def test_public_names_have_an_example(module):
    "Each is used, or printed, in a cell of a notebook that is no export; of constants prose may tell."
    code, prose = shown()
    bare = [name for name in names(ast.parse(module.read_text(encoding='utf8')))
            if name not in code and not (name.isupper() and name in prose)]
    assert not bare, f'{module.name}: no example of {bare}'
