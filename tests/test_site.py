"""The site's pages hang together: links, pictures, alternative texts, weight, and nothing from another host.

Most is read off the notebooks, so it needs no Quarto; the last tests look at the built pages in `_docs`, where `.ci/site.py` has made them.
"""
import ast
import gzip
import json
import os
import re
import shutil
from collections import Counter
from configparser import ConfigParser
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from processes import program, run_file  # noqa: F401: a fixture

ROOT = Path(__file__).resolve().parent.parent
NBS, DOCS = ROOT/'nbs', ROOT/'_docs'
MB = 2**20
REPOSITORY = 'https://github.com/ltseg/ltseg/blob/main/'
WAITING = set() # notebooks with figures that have no text yet
CODE = re.compile(r'```.*?```|`[^`\n]*`', re.DOTALL)
LINK = re.compile(r'(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)[^)]*\)')
HTML_IMAGE = re.compile(r'<img\b[^>]*>')
REMOTE = re.compile(r'''(?:\bsrc|\bposter|<link[^>]*href)\s*=\s*["']?(?:https?:)?//|@import|url\(["']?(?:https?:)?//|\bfetch\(["']http''')


def hidden(path: Path) -> bool:
    return any(part.startswith(('_', '.')) for part in path.relative_to(NBS).parts)


PAGES = sorted(p for p in NBS.rglob('*.ipynb') if not hidden(p))


@cache
def cells(page: Path) -> list:
    "(type, source, outputs) of every cell of a notebook that a reader sees."
    found = json.loads(page.read_text(encoding='utf8'))['cells']
    shown = [(c['cell_type'], ''.join(c['source']), c.get('outputs', [])) for c in found]
    return [c for c in shown if not re.match(r'#\| *hide\b', c[1])]


def prose(page: Path, code: bool = False) -> str:
    "The Markdown of a page, or of a .md file; without code unless asked for."
    text = page.read_text(encoding='utf8') if page.suffix == '.md' else '\n\n'.join(s for kind, s, _ in cells(page) if kind == 'markdown')
    return text if code else CODE.sub('`code`', text)


def html_outputs(page: Path) -> str:
    return '\n'.join(''.join(o['data']['text/html']) for *_, outputs in cells(page) for o in outputs if 'text/html' in o.get('data', {}))


def slug(heading: str) -> str:
    "The anchor that pandoc gives a heading."
    text = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading).replace('`', '').replace('*', '').lower()
    return re.sub(r'\s+', '-', re.sub(r'[^\w\s.-]', '', text).strip()).lstrip('-.0123456789')


def documented(page: Path) -> set:
    "Anchors of the public names that nbdev documents on a page."
    source = '\n'.join(s for kind, s, _ in cells(page) if kind == 'code')
    module = re.search(r'^#\| *default_exp +(\S+)', source, re.MULTILINE)
    if not module: return set()
    code = ast.parse((ROOT/'ltseg'/f'{module[1]}.py').read_text(encoding='utf8'))
    return {n.name.lower() for n in ast.walk(code) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}


@cache
def anchors(page: Path) -> set:
    "All anchors of a page."
    heads = re.findall(r'^#+ +(.*?)(?: *\{#([\w-]+)\})? *$', re.sub(r'```.*?```', '', prose(page, code=True), flags=re.DOTALL), re.MULTILINE)
    named = {own or slug(text) for text, own in heads}
    return named | documented(page) if page.suffix == '.ipynb' else named


def targets(page: Path) -> list:
    "(is a picture, text, file or None for a web address, anchor) of every link of a page."
    found = []
    for picture, text, target in LINK.findall(re.sub(r'```.*?```', '', prose(page, code=True), flags=re.DOTALL)):
        inside = target.startswith(REPOSITORY)
        if urlsplit(target).scheme and not inside: found.append((picture, text, None, target)); continue
        path, _, anchor = unquote(target.removeprefix(REPOSITORY)).partition('#')
        base = ROOT if inside else page.parent
        found.append((picture, text, Path(os.path.normpath(base/path)) if path else page, anchor))
    return found


def name(page: Path) -> str: return str(page.relative_to(ROOT))


def test_links_and_anchors_exist():
    wrong = []
    for page in [*PAGES, *ROOT.glob('*.md')]:
        for _, text, path, anchor in targets(page):
            if path is None: continue
            if not path.exists(): wrong.append(f'{name(page)}: [{text}] leads to {path}, which is not there')
            elif anchor and path.suffix in {'.ipynb', '.md'} and anchor not in anchors(path):
                wrong.append(f'{name(page)}: [{text}]: no #{anchor} in {name(path)}')
    assert not wrong, '\n'.join(wrong)


def test_every_picture_has_a_text_and_lies_in_the_project():
    wrong = []
    for page in [*PAGES, ROOT/'README.md']:
        for picture, text, path, target in targets(page):
            if picture and path is None: wrong.append(f'{name(page)}: a picture from another host, {target}')
            if picture and len(text) < 10: wrong.append(f'{name(page)}: no text for {path}')
        for tag in HTML_IMAGE.findall(prose(page) + (html_outputs(page) if page.suffix == '.ipynb' else '')):
            if not re.search(r'\balt\s*=\s*["\'][^"\']{10}', tag): wrong.append(f'{name(page)}: no alt in {tag[:80]}')
    assert not wrong, '\n'.join(wrong)


def figure_text(source: str) -> str:
    "The `#| fig-alt` of a cell, read as Quarto does."
    options = '\n'.join(re.findall(r'^#\| *(fig-alt:.*)$', source, re.MULTILINE))
    return (yaml.safe_load(options) or {}).get('fig-alt', '')


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_every_figure_has_a_text(page):
    "Pictures that cells put out: the cell begins with `#| fig-alt: \"…\"`."
    wrong = [source[:60] for _, source, outputs in cells(page)
             if any(k.startswith('image/') for o in outputs for k in o.get('data', {})) and len(figure_text(source)) < 10]
    if wrong and page.stem in WAITING: pytest.xfail('texts are still to be written')
    assert not wrong, f'{name(page)}: no `#| fig-alt: "…"` in the cells that begin with\n' + '\n'.join(wrong)


def shows_something(outputs: list) -> bool:
    "Is there a picture or a video among them? Tables of pandas are none."
    data = [o.get('data', {}) for o in outputs]
    return any(k.startswith('image/') for d in data for k in d) or any('<video' in ''.join(d.get('text/html', '')) for d in data)


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_every_figure_has_a_caption(page):
    "What a reader sees next behind a cell with a figure is prose that begins with *the caption, in italics*."
    shown = cells(page)
    wrong = [source[:60] for (_, source, outputs), (kind, text, _) in zip(shown, [*shown[1:], ('', '', [])])
             if shows_something(outputs) and not (kind == 'markdown' and re.match(r'\*[^*\s]', text))]
    assert not wrong, f'{name(page)}: no caption behind the cells that begin with\n' + '\n'.join(wrong)


def test_nothing_comes_from_another_host():
    files = [NBS/'styles.css', NBS/'scroll.html', *NBS.glob('*.scss')]
    texts = {name(p): prose(p) + html_outputs(p) for p in PAGES} | {name(p): p.read_text(encoding='utf8') for p in files}
    wrong = [f'{where}: {found[0]}' for where, text in texts.items() if (found := REMOTE.search(text))]
    assert not wrong, '\n'.join(wrong)
    html = yaml.safe_load((ROOT/'_quarto.yml').read_text(encoding='utf8'))['format']['html']
    assert html['html-math-method'] == 'mathml'
    assert all((NBS/theme).is_file() for theme in html['theme'].values()), 'a theme by name may fetch its fonts'


def test_weight():
    "A page: the notebook with its pictures in it, and the files that it links to as pictures."
    heavy = {}
    for page in PAGES:
        pictures = {path for picture, _, path, _ in targets(page) if picture and path}
        heavy[name(page)] = (page.stat().st_size + sum(p.stat().st_size for p in pictures))/MB
    assert max(heavy.values()) < 1.5, {k: round(v, 2) for k, v in heavy.items() if v > 1}
    total = sum(p.stat().st_size for p in NBS.rglob('*') if p.is_file() and not hidden(p))/MB
    assert total < 8, f'nbs/ has {total:.1f} MB'


def leaves(contents) -> list:
    if isinstance(contents, str): return [contents]
    if isinstance(contents, dict): return leaves(contents.get('href') or []) + leaves(contents.get('contents') or [])
    return [leaf for c in contents for leaf in leaves(c)]


def test_every_notebook_stands_in_the_sidebar_once():
    site = yaml.safe_load((NBS/'sidebar.yml').read_text(encoding='utf8'))['website']
    assert Counter(leaf for bar in site['sidebar'] for leaf in leaves(bar['contents'])) == Counter(str(p.relative_to(NBS)) for p in PAGES)
    assert [item['text'] for item in site['navbar']['left']] == [
        'Get started', 'Gallery', 'Tutorials', 'The method, notebook by notebook', 'Benchmarks and results', 'Reference', 'Design']


def test_every_group_has_a_sidebar_of_its_own():
    "So Quarto marks the group that a page belongs to, and no page lists all others beside it."
    site = yaml.safe_load((NBS/'sidebar.yml').read_text(encoding='utf8'))['website']
    assert [bar['title'] for bar in site['sidebar']] == [item['text'] for item in site['navbar']['left']]
    assert len({bar['id'] for bar in site['sidebar']}) == len(site['sidebar'])
    for bar, item in zip(site['sidebar'], site['navbar']['left']): assert item['href'] in leaves(bar['contents'])


def light(colour: str) -> float:
    "The relative luminance of '#rrggbb', as WCAG has it."
    parts = [int(colour[i:i + 2], 16)/255 for i in (1, 3, 5)]
    return sum(w*(c/12.92 if c <= .04045 else ((c + .055)/1.055)**2.4) for w, c in zip((.2126, .7152, .0722), parts))


def contrast(*colours) -> float:
    low, high = sorted(map(light, colours))
    return (high + .05)/(low + .05)


@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_contrast_of_the_themes(theme):
    "What Bootstrap and Quarto write in each colour on each ground; a colour that a theme does not set is theirs, such as black for `pre`."
    theirs = {'pre-color': '#000000', 'text-muted': '#6c757d'}
    text = (NBS/f'{theme}.scss').read_text(encoding='utf8')
    colours = theirs | dict(re.findall(r'^\$([\w-]+): (#[0-9a-f]{6}|inherit);', text, re.MULTILINE))
    colours = {k: colours['body-color'] if v == 'inherit' else v for k, v in colours.items()}
    pairs = [('body-color', 'body-bg'), ('link-color', 'body-bg'), ('text-muted', 'body-bg'), ('secondary', 'body-bg'), ('pre-color', 'body-bg'),
             ('pre-color', 'code-block-bg'), ('code-color', 'code-bg'), ('link-color', 'code-bg'), ('toc-color', 'body-bg'), ('navbar-fg', 'navbar-bg'),
             ('navbar-hl', 'navbar-bg'), ('text-muted', 'footer-bg'), ('body-color', 'sidebar-bg'), ('text-muted', 'code-block-bg')]
    faint = {f'{a} on {b}': round(contrast(colours[a], colours[b]), 2) for a, b in pairs if contrast(colours[a], colours[b]) < 4.5}
    assert not faint
    css = dict(re.findall(r'--(\w+): (#[0-9a-f]{6})', text))
    faint = {f'{a} on {b}': round(contrast(css[a], css[b]), 2) for a, b in [(a, b) for a in ('ink', 'accent', 'quiet') for b in ('paper', 'shade')] if contrast(css[a], css[b]) < 4.5}
    assert not faint


def test_source_lies_folded_under_the_signature(builder):
    text = '[source](https://x/ltseg/video.py#L600)\n\n### write_video\n\n```python\ndef write_video(path)\n```\n'
    nb = dict(cells=[dict(cell_type='code', source='', outputs=[dict(data={'text/markdown': text})])])
    found = builder.with_source(nb, ROOT/'ltseg')['cells'][0]['outputs'][0]['data']['text/markdown']
    assert found.startswith(text) and '<summary>Source</summary>' in found and 'video.add(frame)' in found
    assert builder.source_of(ROOT/'ltseg'/'video.py', 'nothing', 1) == ''


def test_pages_of_numbers_fold_their_code(builder):
    assert [c['source'] for c in builder.measured(notebook('# A', 'x = 1'))['cells']] == ['# A', '#| code-fold: true\nx = 1']


def test_one_version():
    "settings.ini, the package and CITATION.cff name the same version, and the changelog knows it."
    version = ConfigParser(delimiters=['=']); version.read(ROOT/'settings.ini')
    version = version['DEFAULT']['version']
    assert f'__version__ = "{version}"' in (ROOT/'ltseg'/'__init__.py').read_text(encoding='utf8')
    assert yaml.safe_load((ROOT/'CITATION.cff').read_text(encoding='utf8'))['version'] == version
    assert version in (ROOT/'CHANGELOG.md').read_text(encoding='utf8')


def notebook(*sources) -> dict:
    "Code cells with a picture each, but for those that begin with `# `, `*` or `!`, which are Markdown."
    picture = dict(output_type='display_data', data={'image/png': 'AAAA'}, metadata={})
    return dict(cells=[dict(cell_type='markdown', source=s) if s[:1] in '#*!' and not s.startswith('#|')
                       else dict(cell_type='code', source=s, outputs=[picture]*s.count('plot')) for s in sources])


def test_captions_of_the_site(builder):
    "What is a caption in Jupyter, prose in italics behind a figure, is one on the page, and nothing else is."
    sources = ['#| fig-alt: "a curve"\nplot()', '*It says "up",\nwith `K` and **much**.* Then it goes on.', 'plot(); plot()', '*Two at once.*', 'print()', '*No figure.*',
               '![What is seen](a.png)\n\n*Why it\nmatters.*\n\nMore.']
    found = [c['source'] for c in builder.captioned(notebook(*sources))['cells']]
    options, code = found[0].split('\n', 1)
    assert yaml.safe_load(options.removeprefix('#| ')) == {'fig-cap': 'It says "up", with `K` and **much**.'} and code == sources[0]
    assert found[1] == 'Then it goes on.' and found[2:6] == sources[2:6]
    assert found[6] == '![Why it matters.](a.png){fig-alt="What is seen"}\n\nMore.'


def test_films_in_outputs_become_files(builder, tmp_path):
    "A page is light, and its film is loaded by itself; the prose, where it speaks of such addresses, is left alone."
    html = '<video controls src="data:video/mp4;base64,AAEC\nAw=="></video><p>data:text/plain;base64,AAEC</p>'
    nb = dict(cells=[dict(cell_type='code', source='', outputs=[dict(data={'text/html': [html]})]), dict(cell_type='markdown', source='data:video/mp4;base64,AAEC')])
    found = builder.with_files(nb, tmp_path, '../')
    file, = tmp_path.iterdir()
    assert file.read_bytes() == bytes(range(4)) and file.suffix == '.mp4'
    assert found['cells'][0]['outputs'][0]['data']['text/html'] == f'<video controls src="../images/{file.name}"></video><p>data:text/plain;base64,AAEC</p>'
    assert found['cells'][1]['source'] == 'data:video/mp4;base64,AAEC'


def test_no_links_in_code(builder):
    text = '[`a`](b.html#a)\n```python\ndef f(\n    x, # of [`a`](b.html#a), see [`c`](d.html#c)\n)\n```\n*As [`a`](b.html#a).*'
    assert builder.plain_code(text) == '[`a`](b.html#a)\n```python\ndef f(\n    x, # of a, see c\n)\n```\n*As [`a`](b.html#a).*'


def test_classes_show_their_fields(builder):
    text = 'x/ltseg/evaluation.py#L9)\n\n### Statistics\n\n```python\ndef Statistics(\n    *args, **kwargs\n):\n```\n\n*Summary.*'
    nb = dict(cells=[dict(cell_type='code', source='', outputs=[dict(data={'text/markdown': text})])])
    found = builder.with_fields(nb, ROOT/'ltseg')['cells'][0]['outputs'][0]['data']['text/markdown']
    assert 'class Statistics(NamedTuple):\n    mean: float ' in found and '# share of values above 0.5' in found and '*args' not in found
    assert found.startswith('x/ltseg') and found.endswith('\n```\n\n*Summary.*')
    assert 'def __call__(self' in builder.class_source(ROOT/'ltseg'/'video.py', 'FlowEstimator')


def test_imports_are_folded(builder):
    sources = ['import os\nfrom a import (b,\n  c)', 'import os\nprint(1)', '%matplotlib inline', 'x = 1']
    found = [c['source'] for c in builder.folded(notebook(*sources))['cells']]
    assert found == ['#| code-fold: true\n#| code-summary: Imports\n' + sources[0], *sources[1:]]


def test_sources_are_lines(builder):
    texts = ['# A\n\nb\n', '#| hide\nx = 1', '']
    found = [c['source'] for c in builder.in_lines(notebook(*texts))['cells']]
    assert found == [['# A\n', '\n', 'b\n'], ['#| hide\n', 'x = 1'], []]
    assert builder.in_lines(dict(cells=[dict(source=found[0])]))['cells'][0]['source'] == found[0]


def test_a_second_build_changes_nothing(tmp_path, program):
    "Of a page whose imports are folded, of the one that all options are added to, and of the one with clips."
    names = ['00_files', 'commands', 'gallery']
    for folder in ('ltseg', '.ci'): shutil.copytree(ROOT/folder, tmp_path/folder, ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copy(ROOT/'settings.ini', tmp_path)
    (tmp_path/'nbs').mkdir()
    for name in names: shutil.copy(NBS/f'{name}.ipynb', tmp_path/'nbs')
    build = f'import hashlib, os, runpy\nos.chdir({str(tmp_path)!r})\n' 'for _ in range(2):\n    proc = runpy.run_path(".ci/site.py")["processed"]()\n    print(sorted((p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in proc.iterdir()))'
    (tmp_path/'build.py').write_text(build)
    process = program(tmp_path/'build.py', run=run_file, said=tmp_path/'said')
    process.join()
    said = (tmp_path/'said').read_text('utf8')
    assert process.exitcode == 0, said
    first, second = (line for line in said.splitlines() if line.startswith("[('00_files"))
    assert first == second and all(name in first for name in names)
    assert '### ltseg segment' in (tmp_path/'_proc'/'commands.ipynb').read_text(encoding='utf8')


class Page(HTMLParser):
    "What a built page asks for and what it offers."
    def __init__(self, path: Path):
        super().__init__()
        self.path, self.ids, self.links, self.loads, self.faults = path, set(), [], [], []
        self.feed(path.read_text(encoding='utf8'))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if 'id' in attrs: self.ids.add(attrs['id'])
        if tag == 'a' and attrs.get('href'): self.links.append(attrs['href'])
        if tag == 'link' and attrs.get('rel') in {'stylesheet', 'icon', 'preload'} and not attrs['href'].startswith('data:'): self.loads.append(attrs['href'])
        if attrs.get('src') and not attrs['src'].startswith('data:'): self.loads.append(attrs['src'])
        if tag == 'img' and not attrs.get('alt'): self.faults.append(f'no alt: {attrs.get("src", "")[:60]}')

    def file(self, target: str) -> Path: return Path(os.path.normpath(self.path.parent/unquote(urlsplit(target).path)))


@pytest.mark.skipif(not (DOCS/'index.html').exists(), reason='the site is not built: run .ci/site.py')
def test_built_pages():
    "Each page as the browser gets it: all it loads and links to is there; the page with its pictures below 1.5 MB, its own HTML below 60 KB compressed."
    pages = {p: Page(p) for p in sorted(DOCS.rglob('*.html')) if not {'site_libs', 'gallery'} & set(p.parts)}
    wrong = []
    for path, page in pages.items():
        wrong += [f'{path}: {fault}' for fault in page.faults]
        wrong += [f'{path} loads {src}' for src in page.loads if urlsplit(src).netloc or not page.file(src).is_file()]
        for href in page.links:
            if urlsplit(href).scheme or urlsplit(href).netloc: continue
            target = page.file(href) if urlsplit(href).path else path
            if target.is_dir(): target = target/'index.html'
            anchor = unquote(urlsplit(href).fragment)
            if not target.exists(): wrong.append(f'{path}: nothing at {href}')
            elif anchor and target in pages and anchor not in pages[target].ids: wrong.append(f'{path}: no anchor {href}')
        weight = path.stat().st_size + sum(page.file(s).stat().st_size for s in set(page.loads) if page.file(s).is_file() and 'site_libs' not in s)
        if 'images' not in path.parts and (packed := len(gzip.compress(path.read_bytes()))) > 60_000: wrong.append(f'{path}: {packed/1000:.0f} kB of HTML')
        if weight > 1.5*MB: wrong.append(f'{path}: {weight/MB:.1f} MB')
    assert not wrong, '\n'.join(wrong)
