"""The built site in a real browser, by day and by night, wide and narrow: nobody complains, nothing is asked of any network, no page is wider
than its window, and axe-core, where it is there, finds nothing serious. Skipped where the site is not built (`.ci/site.py`). Screenshots go to `artifacts/`."""
from pathlib import Path

import pytest

from browser import ARTIFACTS, AXE, NARROW, WIDE, chromium, console, emulate, requests, violations  # noqa: F401: a fixture

DOCS = Path(__file__).resolve().parent.parent/'_docs'
PAGES = sorted(p for p in DOCS.rglob('*.html') if not {'site_libs', 'images'} & set(p.relative_to(DOCS).parts))
SHOTS = ['index', 'segment_a_video', 'viewer', 'motion']  # kept to be looked at
if not PAGES: pytest.skip('the site is not built: run .ci/site.py', allow_module_level=True)


@pytest.mark.parametrize(('size', 'dark'), [(WIDE, False), (NARROW, True)], ids=['1440-light', '390-dark'])
def test_pages_open(chromium, size, dark):
    "Every page, visited once for all that is asked of it."
    emulate(chromium, size, dark)
    ARTIFACTS.mkdir(exist_ok=True)
    wrong = []
    for page in PAGES:
        chromium.get(page.as_uri())
        wide = chromium.execute_script('return document.documentElement.scrollWidth - innerWidth')
        if wide > 0: wrong.append(f'{page.name} is {wide} pixels wider than the window')
        if page.stem in SHOTS: chromium.save_screenshot(str(ARTIFACTS/f'page-{page.stem}-{size[0]}-{"dark" if dark else "light"}.png'))
        wrong += [f'{page.name}: {said}' for said in console(chromium)]
        wrong += [f'{page.name} asks for {url}' for url in requests(chromium) if not url.startswith('file://')]
        if AXE.is_file(): wrong += [f'{page.name}: {v}' for v in violations(chromium) if v[1] in ('serious', 'critical')]
    assert not wrong, '\n'.join(wrong)


def test_pages_without_javascript(chromium):
    "The prose, code, pictures and links of a page are there before any script runs."
    emulate(chromium, WIDE)
    chromium.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', dict(value=True))
    try:
        chromium.get((DOCS/'motion.html').as_uri())
        text = chromium.find_element('tag name', 'main').text
        pictures = chromium.find_elements('css selector', 'main img')
        assert 'One weighted least-squares problem' in text and 'def MotionModel' in text
        assert len(pictures) >= 5 and all(p.is_displayed() and p.size['width'] > 100 for p in pictures)
        assert chromium.find_element('link text', 'Losses').is_displayed()
    finally: chromium.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', dict(value=False))
