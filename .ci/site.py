"""Build the documentation site in `_docs`: `.venv/bin/python .ci/site.py`.

nbdev makes the pages (it runs imports and exported cells and writes what is known of every name), then Quarto lays them out. Where
there is no Quarto, pandoc makes a plain preview with the site's own colours, so that the pages can be looked at.
"""
import ast
import base64
import json
import os
import re
import shutil
import subprocess
from contextlib import redirect_stdout
from functools import cache
from html import escape
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import yaml
from nbdev.config import get_config
from nbdev.serve import proc_nbs

from ltseg.cli import main as ltseg

IMAGES = {'image/svg+xml': 'svg', 'image/png': 'png', 'image/jpeg': 'jpg'}
OPTION = re.compile(r'^#\| *([\w-]+): *(.*)$\n?', re.MULTILINE)
PRIVATE = re.compile(r'\[(`_[^`\]]*`)\]\([^)\s]*\)')  # links to names that have no entry on any page
CAPTION = re.compile(r'\*(?![\s*])((?:`[^`]*`|\*\*.+?\*\*|[^*`])+)(?<!\s)\*(?!\*)\s*', re.DOTALL)  # prose in italics that begins what stands behind a picture
PICTURE = re.compile(r'^!\[([^\]]+)\]\(([^)\s]+)\)\n\s*' + CAPTION.pattern, re.MULTILINE | re.DOTALL)
PANDOC = ['pandoc', '-f', 'markdown+lists_without_preceding_blankline', '-t', 'html', '--mathml', '--section-divs',
          '--highlight-style', 'monochrome', '--toc', '--toc-depth', '3', '-s', '--template']
TEMPLATE = '''<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>$pagetitle$</title><link rel="icon" href="$up$images/favicon.svg"><style>$highlighting-css$
LIGHT @media (prefers-color-scheme: dark) { DARK }
STYLES
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; }
a { color: var(--accent); } pre, code { font: .86em/1.5 ui-monospace, Menlo, Consolas, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; } :not(pre) > code { background: var(--shade); }
.sourceCode { background: var(--shade); padding: .3rem .5rem; } .sourceCode .sourceCode { padding: 0; margin: 0; }
pre > code.sourceCode { white-space: pre-wrap; }
.page { display: grid; grid-template-columns: 15rem minmax(0, 50rem) 13rem; gap: 2.5rem; padding: 1rem 1.5rem; }
.page > nav { font-size: .88rem; } .page > nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
a[aria-current] { color: var(--ink); font-weight: 600; } figure { margin: 1rem 0; } nav ul { padding-left: .9rem; list-style: none; } nav b { color: var(--quiet); }
.navbar, .nav-footer { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; padding: .7rem 1.5rem; }
@media (max-width: 900px) { .page { display: block; } .page > nav { display: none; } }
</style></head><body><header class="navbar">$menu$</header><div class="page"><nav aria-label="pages">$pages$</nav>
<main>$body$<footer class="nav-footer">$steps$</footer></main><nav aria-label="on this page">$toc$</nav></div>SCROLL</body></html>'''


def offline(nb: dict, host: str, up: str) -> dict:
    """A processed notebook that needs no other host: links of nbdev to `host`, where the site will be, lead to the page beside it (`up` leads to
    the top), and what is HTML among the outputs becomes a raw block of Markdown, since for HTML Quarto makes a page fetch jQuery and RequireJS."""
    nb = json.loads(PRIVATE.sub(r'\1', json.dumps(nb).replace(f'({host}/', f'({up}')))
    for data in (o['data'] for c in nb['cells'] for o in c.get('outputs', []) if 'text/html' in o.get('data', {})):
        html = re.sub(r'<style.*?</style>', '', ''.join(data['text/html']), flags=re.DOTALL).replace('<th></th>', '<td></td>')
        data.clear()
        data['text/markdown'] = f'```{{=html}}\n{html.strip()}\n```'
    for data in (o['data'] for c in nb['cells'] for o in c.get('outputs', []) if 'text/markdown' in o.get('data', {})):
        data['text/markdown'] = plain_code(''.join(data['text/markdown']))
    return nb


def plain_code(text: str) -> str:
    "Markdown whose blocks of code have no links: nbdev links names in comments there too, where a link is not one."
    return re.sub(r'```.*?```', lambda block: re.sub(r'\[`([^`\]]+)`\]\([^)\s]+\)', r'\1', block[0]), text, flags=re.DOTALL)


def class_source(path: Path, name: str) -> str:
    "What a reader must know of class `name` in the module `path`: its fields with their comments, and how it is called."
    lines = path.read_text(encoding='utf8').splitlines()
    node = next(n for n in ast.parse('\n'.join(lines)).body if isinstance(n, ast.ClassDef) and n.name == name)
    parts = [lines[f.lineno - 1:f.end_lineno] for f in node.body if isinstance(f, ast.AnnAssign)]
    parts += [lines[f.lineno - 1:max(f.lineno, f.body[0].lineno - 1)] for f in node.body
              if isinstance(f, ast.FunctionDef) and f.name in {'__call__', 'forward'}]
    return '\n'.join([lines[node.lineno - 1], *(line for part in parts for line in part)])


def with_fields(nb: dict, modules: Path) -> dict:
    "A notebook in which classes show their fields: of named tuples and protocols nbdev knows only `*args, **kwargs`."
    pattern = re.compile(r'(/(\w+)\.py#L.*?#+ (\w+)\n\n```python\n)def \3\(\n    \*args.*?(?=\n```)', re.DOTALL)
    for data in (o['data'] for c in nb['cells'] for o in c.get('outputs', []) if 'text/markdown' in o.get('data', {})):
        text = ''.join(data['text/markdown'])
        data['text/markdown'] = pattern.sub(lambda m: m[1] + class_source(modules/f'{m[2]}.py', m[3]), text)
    return nb


def options() -> list:
    "Cells with the help of every command of the program."
    def told(*words):
        with redirect_stdout(StringIO()) as said, patch.dict(os.environ, COLUMNS='100'): status = ltseg([*words, '--help'])
        if status: raise SystemExit(f'no help of ltseg {" ".join(words)}')
        return said.getvalue()
    commands = re.findall(r'^    (\w+)  ', told(), re.MULTILINE)
    texts = ['## All options', *(f'### ltseg {c}\n\n```text\n{told(c).strip()}\n```' for c in commands)]
    return [dict(cell_type='markdown', metadata={}, source=text) for text in texts]


MEASURED = {'95', '96', '97', '99'} # pages of numbers: the code that measures them is folded


def measured(nb: dict) -> dict:
    "A notebook whose code is folded, since its readers look for what came out."
    for cell in nb['cells']:
        if cell['cell_type'] == 'code' and ''.join(cell['source']).strip(): cell['source'] = '#| code-fold: true\n' + ''.join(cell['source'])
    return nb


@cache
def definitions(path: Path) -> dict:
    "The functions and classes of the module `path`, also those within others: name -> [(line, source)]."
    text, found = path.read_text(encoding='utf8'), {}
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)): continue
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        found.setdefault(node.name, []).append((node.lineno, '\n'.join(text.splitlines()[first - 1:node.end_lineno])))
    return found


def source_of(path: Path, name: str, line: int) -> str:
    "The source of a function or class that is defined in the module `path`, about at that line; '' if there is none."
    nearest = min(definitions(path).get(name, []), key=lambda found: abs(found[0] - line), default=(0, ''))
    return nearest[1]


def with_source(nb: dict, modules: Path) -> dict:
    "A notebook in which the source of what is documented lies folded under its signature: one reads this site to see how it is done."
    for data in (o['data'] for c in nb['cells'] for o in c.get('outputs', []) if 'text/markdown' in o.get('data', {})):
        text = ''.join(data['text/markdown'])
        found = re.search(r'/(\w+)\.py#L(\d+).*?\n#+ (?:[\w.]+\.)?(\w+)\n', text, re.DOTALL)
        source = found and (modules/f'{found[1]}.py').is_file() and source_of(modules/f'{found[1]}.py', found[3], int(found[2]))
        if source: data['text/markdown'] = f'{text}\n\n<details class="source"><summary>Source</summary>\n\n```python\n{source}\n```\n\n</details>'
    return nb


def quoted(text: str) -> str: return json.dumps(' '.join(text.split()), ensure_ascii=False)


def captioned(nb: dict) -> dict:
    """A notebook whose captions are real ones. In Jupyter a caption is the prose in italics behind a figure; here it becomes Quarto's `fig-cap`,
    if the figure is one (a cell with several keeps it as prose), and in Markdown the caption of the picture, whose text becomes `fig-alt`."""
    for cell, after in zip(nb['cells'], nb['cells'][1:]):
        pictures = [o for o in cell.get('outputs', []) if IMAGES.keys() & o.get('data', {}).keys()]
        found = CAPTION.match(''.join(after['source'])) if len(pictures) == 1 and after['cell_type'] == 'markdown' else None
        if not found: continue
        cell['source'] = f'#| fig-cap: {quoted(found[1])}\n' + ''.join(cell['source'])
        after['source'] = ''.join(after['source'])[found.end():]
    for cell in nb['cells']:
        if cell['cell_type'] == 'markdown':
            cell['source'] = PICTURE.sub(lambda m: f'![{" ".join(m[3].split())}]({m[2]}){{fig-alt={quoted(m[1])}}}\n\n', ''.join(cell['source']))
    return nb


def folded(nb: dict) -> dict:
    "A notebook in which cells of imports are folded: who reads does not need them, who runs it does."
    for cell in nb['cells']:
        source = ''.join(cell['source'])
        if cell['cell_type'] != 'code' or '#| code-fold' in source or not (body := parsed(source)): continue
        if all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in body):
            cell['source'] = f'#| code-fold: true\n#| code-summary: Imports\n{source}'
    return nb


def in_lines(nb: dict) -> dict:
    """A notebook whose sources are lists of lines: of one that is a single text, Quarto (1.5 and later) loses the line breaks. Its cells are
    numbered: nbdev gives those that it adds a random name, and the same pages would be other bytes."""
    for n, cell in enumerate(nb['cells']): cell |= dict(id=f'c{n}', source=''.join(cell['source']).splitlines(keepends=True))
    return nb


def parsed(source: str) -> list:
    "Its statements; none where it is no plain Python."
    try: return ast.parse(source).body
    except SyntaxError: return []


def rules(scss: Path) -> str:
    "The plain rules of a theme: its colours as CSS variables."
    return scss.read_text(encoding='utf8').split('scss:rules --*/')[1]


def output_markdown(output: dict, alt: str, caption: str, stem: Path) -> str:
    "What a cell put out; a picture becomes a file that begins with `stem`."
    if 'text' in output: return '```\n' + ''.join(output['text']).rstrip() + '\n```'
    data = {k: ''.join(v) for k, v in output['data'].items()}
    for kind in IMAGES.keys() & data.keys():
        path = stem.with_name(f'{stem.name}.{IMAGES[kind]}')
        path.write_bytes(data[kind].encode() if kind.endswith('xml') else base64.b64decode(data[kind]))
        return f'![{caption}]({path.name}){{fig-alt={quoted(alt)}}}'
    return data.get('text/markdown') or '```\n' + data.get('text/plain', '') + '\n```'


def cell_markdown(n: int, cell: dict, page: Path) -> str:
    "Cell `n` of a processed notebook that becomes `page`, as Markdown."
    source = ''.join(cell['source'])
    if cell['cell_type'] != 'code': return source
    options = {name: yaml.safe_load(value) for name, value in OPTION.findall(source)}
    shown = options.get('echo', True) and options.get('include', True)
    alt, caption = options.get('fig-alt', ''), options.get('fig-cap', '')
    outputs = [output_markdown(o, alt, caption, page.with_name(f'{page.stem}-{n}-{m}')) for m, o in enumerate(cell['outputs'])
               if o.get('data') or o.get('text')]
    code = f'```python\n{OPTION.sub("", source).strip()}\n```' if shown else ''
    if code and options.get('code-fold') is True: code = f'<details class="code-fold"><summary>{options.get("code-summary", "Code")}</summary>\n\n{code}\n\n</details>'
    found = '\n\n'.join(outputs) if options.get('output', True) else ''
    return f'::: cell\n{code}\n\n' + (f'::: cell-output\n{found}\n:::\n' if found else '') + ':::\n'


def walk(contents: list, depth: int = 0):
    "All entries of a sidebar: (depth, title, page or None)."
    for item in contents:
        if isinstance(item, str): yield depth, None, item
        else:
            yield depth, item.get('section') or item['text'], item.get('href')
            yield from walk(item.get('contents', []), depth + 1)


def front(proc: Path, page: str) -> dict:
    "Title, description and the name of the HTML file of a processed notebook."
    first = json.loads((proc/page).read_text(encoding='utf8'))['cells'][0]
    head = yaml.safe_load(''.join(first['source']).strip().strip('-'))
    return {'description': '', **head, 'file': str(Path(page).with_name(head['output-file']))}


def linked(text: str, page: str, heads: dict) -> str:
    "The Markdown `text` of `page`, its links to notebooks led to their HTML files."
    def to(match):
        target = os.path.normpath(Path(page).parent/match[1])
        return os.path.relpath(heads[target]['file'], Path(page).parent) if target in heads else match[0]
    return re.sub(r'(?<=\]\()([^)#\s]+\.ipynb)', to, text)


def preview(proc: Path, docs: Path):
    "Pages of `docs` by pandoc from the processed notebooks in `proc`."
    website = yaml.safe_load((proc/'sidebar.yml').read_text(encoding='utf8'))['website']
    bars = [list(walk(bar['contents'])) for bar in website['sidebar']] # each group has its own
    entries = [entry for bar in bars for entry in bar]
    order = [page for *_, page in entries if page]
    heads = {page: front(proc, page) for page in order}
    parts = {'LIGHT': rules(proc/'light.scss'), 'DARK': rules(proc/'dark.scss'),
             'STYLES': (proc/'styles.css').read_text(encoding='utf8'), 'SCROLL': (proc/'scroll.html').read_text(encoding='utf8')}
    template = proc/'preview.html'
    template.write_text(re.sub('|'.join(parts), lambda m: parts[m[0]], TEMPLATE), encoding='utf8')
    for n, page in enumerate(order):
        def link(to, text):
            here = ' aria-current="page"' if to == page else ''
            return f'<a href="{os.path.relpath(heads[to]["file"], Path(page).parent)}"{here}>{escape(text)}</a>'
        def entry(depth, title, to): return link(to, title or heads[to]['title']) if to else f'<b>{escape(title)}</b>'
        head, out = heads[page], docs/heads[page]['file']
        out.parent.mkdir(parents=True, exist_ok=True)
        cells = json.loads((proc/page).read_text(encoding='utf8'))['cells'][1:]
        body = [f'# {head["title"]}', f'*{head["description"]}*', *(cell_markdown(i, c, out) for i, c in enumerate(cells))]
        variables = dict(pagetitle=head['title'], up='../'*page.count('/'), menu=''.join(link(i['href'], i['text']) for i in website['navbar']['left']),
                     pages=''.join(f'<div style="padding-left:{e[0]}rem">{entry(*e)}</div>' for e in next(bar for bar in bars if page in [p for *_, p in bar])),
                     steps=''.join(link(p, f'{arrow} {heads[p]["title"]}') for near, arrow in [(order[:n][-1:], '←'), (order[n+1:n+2], '→')]
                                   for p in near))
        command = [*PANDOC, template, '-o', out, *(f'-V{k}={v}' for k, v in variables.items()), '--metadata', 'title= ']
        text = linked('\n\n'.join(body), page, heads).replace('{fig-alt=', '{alt=')
        subprocess.run(command, input=text, text=True, check=True)
    shutil.copytree(proc/'images', docs/'images', dirs_exist_ok=True)


def processed() -> Path:
    "The folder `_proc` with the notebooks as pages are made of them: anew, since what is inserted into one that is there would be in it twice."
    cfg = get_config()
    shutil.rmtree(cfg.config_path/'_proc', ignore_errors=True)
    proc = proc_nbs(n_workers=0)
    for path in proc.rglob('*.ipynb'):
        nb, up = json.loads(path.read_text(encoding='utf8')), '../'*len(path.relative_to(proc).parents[1:])
        if path.name == '90_cli.ipynb': nb['cells'][2:2] = options() # before how it is done
        if path.name[:2] in MEASURED: nb = measured(nb)
        page = folded(captioned(with_source(with_fields(offline(nb, cfg.doc_host + cfg.doc_baseurl, up), cfg.lib_path), cfg.lib_path)))
        path.write_text(json.dumps(in_lines(page)), encoding='utf8')
    return proc


def main():
    docs, proc = get_config().doc_path, processed()
    shutil.rmtree(docs, ignore_errors=True)
    if shutil.which('quarto'):
        subprocess.run(['quarto', 'render', '--no-cache'], cwd=proc, check=True)
        shutil.move(proc/docs.name, docs)
    elif shutil.which('pandoc'): preview(proc, docs)
    else: raise SystemExit('neither quarto (https://quarto.org) nor pandoc is installed')
    print(f'{docs}/index.html')


if __name__ == '__main__': main()
