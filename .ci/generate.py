"""Bring everything that is generated up to date: modules, clean notebooks with small pictures, the site's lists, its reference page and README.md.

Run it before a commit; `.ci/run` and the tests fail where it would change something. Unlike `nbdev_prepare`
it needs neither Quarto nor the network.
"""
import ast
import json
import os
import re
from base64 import b64decode, b64encode
from hashlib import sha1
from io import BytesIO
from pathlib import Path

import yaml
from nbconvert import MarkdownExporter
from nbdev.clean import nbdev_clean
from nbdev.config import get_config
from nbdev.doclinks import nbdev_export, nbglob
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor
from nbdev.processors import clean_magics, filter_stream_, hide_, hide_line, rm_export, strip_ansi
from nbdev.quarto import IndentDumper, refresh_quarto_yml
from nbformat import from_dict
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
NOTE = '<!-- Generated from nbs/{name} by .ci/generate.py: edit the notebook, not this file. -->'
# Of a link or picture, the target, where it lies beside the notebook (no scheme, no absolute path, no anchor)
RELATIVE = re.compile(r'(!?\[[^\]]*\]\()(?![a-z]+:|/|#)([^)\s]+\))')
START, GALLERY, TUTORIALS, METHOD, RESULTS = 'Get started', 'Gallery', 'Tutorials', 'The method, notebook by notebook', 'Benchmarks and results'
# The numbered notebooks: the chapters of the method and the lowest number of each; from `FIRST_RESULT` on they define no module
CHAPTERS = {0: 'Pictures and flow', 20: 'Motion models and the network', 40: 'From video to result', 60: 'Scores',
            72: 'Reports and exports', 75: 'Training', 90: 'The command line'}
FIRST_RESULT = 94
REFERENCE, COMMANDS, DESIGN = 'reference.ipynb', 'commands.ipynb', 'design.ipynb'
IDS = {START: 'start', GALLERY: 'gallery', TUTORIALS: 'tutorials', METHOD: 'method', RESULTS: 'results', 'Reference': 'reference', 'Design': 'design'}
TITLE = '''# Reference

> Every module in its order, and its public names: what they do, with a link to the notebook that defines them.'''
ABOUT = '''<!-- Written by .ci/generate.py -->
The page of a notebook shows each name with its parameters, shapes and units, beside the prose, the examples and the tests. Modules
import only from those above them. The program's commands and options have a [page of their own](commands.ipynb).'''


def markdown(notebook: Path, folder: str, repository: str) -> str:
    "`notebook` as one Markdown page for the top folder: relative links start from `folder`, links into `repository` from here."
    procs = [FrontmatterProc, strip_ansi, hide_line, filter_stream_, rm_export, clean_magics, hide_]
    nb = NBProcessor(notebook, procs=procs, process=True).nb
    cells = [c for c in nb.cells if c.source and c.cell_type != 'raw'] # raw: the front matter
    for c in cells: c['metadata'], c['source'] = {}, c.source
    plain = {'cells': [{k: v for k, v in c.items() if not k.endswith('_')} for c in cells],
             'metadata': nb.metadata, 'nbformat': 4, 'nbformat_minor': 5}
    body, resources = MarkdownExporter().from_notebook_node(from_dict(plain))
    if resources['outputs']: raise SystemExit(f'{notebook}: a figure in an output; save it under nbs/images and link it')
    body = RELATIVE.sub(rf'\g<1>{folder}/\g<2>', body).replace(repository, '')
    title, subtitle = nb.frontmatter_['title'], nb.frontmatter_.get('description', '')
    page = '\n\n'.join([NOTE.format(name=notebook.name), f'# {title}', f'> {subtitle}', body.strip()])
    return re.sub(r'\n{3,}', '\n\n', page) + '\n'


def split_title(notebook: Path):
    "Title and subtitle of `notebook` into a cell of their own: nbdev makes front matter of their cell, and leaves out what else is in it."
    nb = json.loads(notebook.read_text(encoding='utf8'))
    found = re.match(r'(# [^\n]*\n+(?:> ?[^\n]*\n)*)\s*(?=[^\s>])', ''.join(nb['cells'][0]['source']))
    if not found or nb['cells'][0]['cell_type'] != 'markdown': return
    title, rest = found[0].strip(), ''.join(nb['cells'][0]['source'])[found.end():]
    nb['cells'][:1] = [markdown_cell(title), markdown_cell(rest)]
    notebook.write_text(dump(nb), encoding='utf8')


def markdown_cell(text: str) -> dict:
    return dict(cell_type='markdown', id=sha1(text.encode()).hexdigest()[:8], metadata={}, source=text.strip().splitlines(keepends=True))


def dump(nb: dict) -> str: return json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + '\n'


def number(page: str) -> int | None:
    "The number that the file name of `page` starts with, if any."
    found = re.match(r'\d+', page)
    return int(found[0]) if found else None


def sidebar(pages: list) -> list:
    "The groups of the site, each a sidebar of its own: every one of `pages`, paths in `nbs/` in their order, stands in one of them once."
    def between(low, high): return [p for p in pages if number(p) is not None and low <= number(p) < high]
    ends = [*list(CHAPTERS)[1:], FIRST_RESULT]
    chapters = [{'section': title, 'contents': between(low, high)} for (low, title), high in zip(CHAPTERS.items(), ends)]
    tutorials = [p for p in pages if p.startswith('tutorials/')]
    lost = {p for p in pages if number(p) is None} - {*tutorials, 'index.ipynb', 'gallery.ipynb', REFERENCE, COMMANDS, DESIGN}
    if lost: raise SystemExit(f'no place in the sidebar for {sorted(lost)}: give them a number, or put them into tutorials/')
    return [{'text': START, 'href': 'index.ipynb'}, {'text': GALLERY, 'href': 'gallery.ipynb'}, {'section': TUTORIALS, 'contents': tutorials},
            {'section': METHOD, 'contents': [c for c in chapters if c['contents']]},
            {'section': RESULTS, 'contents': between(FIRST_RESULT, 100)},
            {'section': 'Reference', 'contents': [REFERENCE, COMMANDS]}, {'text': 'Design', 'href': DESIGN}]


def first_page(item) -> str:
    "The page that a reader sees first of an `item` of the sidebar."
    while isinstance(item, dict): item = item.get('href') or item['contents'][0]
    return item


def site(pages: list) -> str:
    """`sidebar.yml`: a sidebar for each group, which only its pages show, and a menu with the groups on top of each page. Quarto tells by the
    `id` which sidebar a page belongs to, and marks that group in the menu; the look of the first one is that of all."""
    groups = [(c.get('section') or c['text'], c) for c in sidebar(pages)]
    menu = [{'text': title, 'href': first_page(c)} for title, c in groups]
    bars = [{'id': IDS[title], 'title': title, 'contents': c.get('contents') or [c]} for title, c in groups]
    bars[0] = {'style': 'floating', 'collapse-level': 2} | bars[0]
    found = {'website': {'navbar': {'left': menu}, 'sidebar': bars}}
    return '# Written by .ci/generate.py\n' + yaml.dump(found, Dumper=IndentDumper, sort_keys=False, allow_unicode=True)


def heading(notebook: Path) -> tuple:
    "Title, subtitle and module name (None: it defines no module) of `notebook`."
    nb = NBProcessor(notebook, procs=[FrontmatterProc], process=True).nb
    module = next((c.directives_['default_exp'][0] for c in nb.cells if 'default_exp' in c.directives_), None)
    return nb.frontmatter_['title'], nb.frontmatter_.get('description', ''), module


def public(module: Path) -> list:
    "The public functions and classes of `module`, each with the first line of its docstring, and its public constants."
    code = ast.parse(module.read_text(encoding='utf8')).body
    assigned = {n.targets[0].id: n.value for n in code if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)}
    defined = {n.name: n for n in code if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    docs = {name: (ast.get_docstring(n) or '').splitlines() for name, n in defined.items()}
    return [(name, (docs.get(name) or [''])[0], name in defined) for name in ast.literal_eval(assigned['__all__'])]


def reference(nbs: Path, modules: Path) -> dict:
    "The page `reference.ipynb`: a table of the public names of each module, read off the code."
    texts = [TITLE, ABOUT]
    for path in sorted(nbs.glob('[0-9]*.ipynb')):
        title, subtitle, module = heading(path)
        if not module: continue
        rows = [f'| [{name}]({path.name}{"#" + name.lower() if linked else ""}) | {doc.replace("|", chr(92) + "|")} |'
                for name, doc, linked in public(modules/f'{module}.py') if doc]
        head = f'## ltseg.{module}\n\n{subtitle.rstrip(".")}: [{title}]({path.name}).'
        texts.append('\n'.join([head, '', *(['| name | what |', '|---|---|', *rows] if rows else [])]).strip())
    kernel = dict(display_name='python3', language='python', name='python3')
    return dict(cells=[markdown_cell(t) for t in texts], metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5)


def shrink_pictures(notebook: Path):
    "PNGs in the outputs of `notebook` to 256 colours, which halves them; those that have no more already stay as they are."
    nb = json.loads(notebook.read_text(encoding='utf8'))
    bundles = [o['data'] for c in nb['cells'] for o in c.get('outputs', ()) if 'image/png' in o.get('data', {})]
    changed = False
    for data in bundles:
        picture = Image.open(BytesIO(b64decode(''.join(data['image/png']))))
        if picture.mode == 'P': continue
        small = BytesIO()
        rgb = picture.convert('RGB')
        palette = rgb.quantize(256, kmeans=2)
        rgb.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(small, 'PNG', optimize=True) # colour wheels stay smooth
        data['image/png'], changed = b64encode(small.getvalue()).decode(), True
    if changed: notebook.write_text(dump(nb), encoding='utf8')


def main():
    os.chdir(ROOT)
    cfg = get_config()
    nbs = cfg.nbs_path
    for path in nbglob(nbs, as_path=True):
        split_title(path)
        shrink_pictures(path)
    nbdev_export.__wrapped__()
    (nbs/REFERENCE).write_text(dump(reference(nbs, cfg.lib_path)), encoding='utf8')
    nbdev_clean.__wrapped__()
    refresh_quarto_yml()
    pages = sorted(str(p.relative_to(nbs)) for p in nbglob(nbs, as_path=True))
    (nbs/'sidebar.yml').write_text(site(pages), encoding='utf8')
    repository = f'{cfg.git_url}/blob/{cfg.branch}/'
    (ROOT/'README.md').write_text(markdown(nbs/cfg.readme_nb, nbs.name, repository), encoding='utf8')


if __name__ == '__main__': main()
