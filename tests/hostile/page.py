"How the page `nbs/98_hostile.ipynb` shows a row, and what is stored there. The page is run by hand; the tests run each row once, and compare."
import json
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent.parent/'nbs'/'98_hostile.ipynb'
HEAD = ['| what is tried | what it gets | left behind |', '|---|---|---|']


def _plain(text): return ' '.join(text.split()).replace('|', '\\|').replace('<', '&lt;').replace('*', '\\*').replace('/sys/OUT', 'OUT')


def line(row, outcome) -> str:
    "A line of a table in Markdown."
    return f'| {" | ".join(map(_plain, (row.what, *outcome)))} |'


def stored() -> dict:
    "The lines of all tables in the page, by section and first column, of which there must be no two the same."
    lines = [(found[1], line) for cell in json.loads(PAGE.read_text(encoding='utf8'))['cells']
             if (found := re.search(r"^show\('(.*)'\)", ''.join(cell['source']), re.MULTILINE))
             for o in cell['outputs'] for line in ''.join(o['data']['text/markdown']).splitlines()[len(HEAD):]]
    found = {(section, line.split(' | ')[0].removeprefix('| ')): line for section, line in lines}
    assert len(found) == len(lines)
    return found


def key(row) -> tuple: return row.section, _plain(row.what)
