"""Bring everything that is generated up to date: modules, clean notebooks, the site's lists and README.md.

Run it before a commit; `.ci/run` and the tests fail where it would change something. Unlike `nbdev_prepare`
it needs neither Quarto nor the network.
"""
import os
import re
from pathlib import Path

from nbconvert import MarkdownExporter
from nbdev.clean import nbdev_clean
from nbdev.config import get_config
from nbdev.doclinks import nbdev_export
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor
from nbdev.processors import clean_magics, filter_stream_, hide_, hide_line, rm_export, strip_ansi
from nbdev.quarto import nbdev_sidebar, refresh_quarto_yml
from nbformat import from_dict

ROOT = Path(__file__).resolve().parent.parent
NOTE = '<!-- Generated from nbs/{name} by .ci/generate.py: edit the notebook, not this file. -->'
# Of a link or picture, the target, where it lies beside the notebook (no scheme, no absolute path, no anchor)
RELATIVE = re.compile(r'(!?\[[^\]]*\]\()(?![a-z]+:|/|#)([^)\s]+\))')


def markdown(notebook: Path, folder: str) -> str:
    "`notebook` as one Markdown page whose relative links start from the parent of `folder`."
    procs = [FrontmatterProc, strip_ansi, hide_line, filter_stream_, rm_export, clean_magics, hide_]
    nb = NBProcessor(notebook, procs=procs, process=True).nb
    cells = [c for c in nb.cells if c.source and c.cell_type != 'raw'] # raw: the front matter
    for c in cells: c['metadata'], c['source'] = {}, c.source
    plain = {'cells': [{k: v for k, v in c.items() if not k.endswith('_')} for c in cells],
             'metadata': nb.metadata, 'nbformat': 4, 'nbformat_minor': 5}
    body, resources = MarkdownExporter().from_notebook_node(from_dict(plain))
    if resources['outputs']: raise SystemExit(f'{notebook}: a figure in an output; save it under nbs/images and link it')
    body = RELATIVE.sub(rf'\g<1>{folder}/\g<2>', body)
    title, subtitle = nb.frontmatter_['title'], nb.frontmatter_.get('description', '')
    page = '\n\n'.join([NOTE.format(name=notebook.name), f'# {title}', f'> {subtitle}', body.strip()])
    return re.sub(r'\n{3,}', '\n\n', page) + '\n'


def main():
    os.chdir(ROOT)
    cfg = get_config()
    nbdev_export.__wrapped__()
    nbdev_clean.__wrapped__()
    refresh_quarto_yml()
    nbdev_sidebar.__wrapped__()
    (ROOT/'README.md').write_text(markdown(cfg.nbs_path/cfg.readme_nb, cfg.nbs_path.name), encoding='utf8')


if __name__ == '__main__': main()
