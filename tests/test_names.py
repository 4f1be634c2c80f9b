"""A public name means one thing in the whole package."""
import ast
from collections import defaultdict
from pathlib import Path

import ltseg

TWICE = {'train_and_save', # the same for two networks; the metadata of shipped weights name both
         'main'} # of a program, each with a module of its own


def defined(code) -> set:
    "Names that the top level of a module defines: functions, classes, and what is assigned."
    names = {n.name for n in code if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    targets = [t for n in code if isinstance(n, ast.Assign) for t in n.targets] + [n.target for n in code if isinstance(n, ast.AnnAssign)]
    return names | {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}


def test_no_public_name_means_two_things():
    homes = defaultdict(list)
    for path in sorted(Path(ltseg.__file__).parent.glob('*.py')):
        code = ast.parse(path.read_text(encoding='utf8')).body
        public = [ast.literal_eval(n.value) for n in code if isinstance(n, ast.Assign) and getattr(n.targets[0], 'id', '') == '__all__']
        for name in defined(code) & set(*public): homes[name].append(path.stem)
    assert len(homes) > 300
    assert {name: where for name, where in homes.items() if len(where) > 1 and name not in TWICE} == {}
