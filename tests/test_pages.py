"""The built site in a real browser, by day and by night, wide and narrow, from a host on the loopback: nobody complains, nothing is asked of any
other host, no page is wider than its window, no text too faint, and axe-core, where it is there, finds nothing serious. Skipped where the site is not
built (`.ci/site.py`). Screenshots go to `artifacts/`."""
from pathlib import Path

import pytest

from browser import (ARTIFACTS, AXE, NARROW, WIDE, chromium, console, emulate, faint, host, requests, resize, stuck, too_wide,  # noqa: F401: fixtures
                     violations)

DOCS = Path(__file__).resolve().parent.parent/'_docs'
PAGES = sorted(p for p in DOCS.rglob('*.html') if not {'site_libs', 'images', 'gallery'} & set(p.relative_to(DOCS).parts))
SHOTS = ['index', 'segment_a_video', 'viewer', 'motion', 'reference']  # kept to be looked at
HANDFULS = [PAGES[n::12] for n in range(12)]  # so that all workers have something to do to the end
if not PAGES: pytest.skip('the site is not built: run .ci/site.py', allow_module_level=True)


@pytest.mark.parametrize('pages', HANDFULS, ids=lambda pages: pages[0].stem)
def test_pages_open(chromium, host, pages):
    "Each is loaded once for all that is asked of it; only what changes with size and colours is looked at twice."
    ARTIFACTS.mkdir(exist_ok=True)
    emulate(chromium, WIDE)
    wrong = [f'{page.relative_to(DOCS)}: {fault}' for page in pages for fault in faults(chromium, host, page)]
    assert not wrong, '\n'.join(wrong)


def faults(browser, host, page):
    resize(browser, WIDE)
    browser.get(host.url(page, DOCS))
    yield from looks(browser, page, WIDE, False)
    if AXE.is_file(): yield from (v for v in violations(browser, contrast=page.stem in SHOTS) if v[1] in ('serious', 'critical'))
    resize(browser, NARROW, dark=True)
    yield from looks(browser, page, NARROW, True)
    yield from console(browser)
    yield from (f'asks for {url}' for url in requests(browser) if not url.startswith(host.root))


def looks(browser, page, size, dark):
    here = f'{size[0]}, {"dark" if dark else "light"}'
    if (wide := too_wide(browser)) > 0: yield f'{here}: {wide} pixels wider than the window'
    yield from (f'{here}: too faint: {fault}' for fault in faint(browser))
    yield from (f'{here}: out of reach of the keyboard: {element}' for element in stuck(browser))
    if page.stem in SHOTS: browser.save_screenshot(str(ARTIFACTS/f'page-{page.stem}-{size[0]}-{"dark" if dark else "light"}.png'))


def test_faint_texts_are_found(chromium, host, tmp_path):
    "The contrast that the other tests hold, of texts whose contrast is known."
    (tmp_path/'a.html').write_text("""<!doctype html><style>body {background: #161b20; color: #d5dce3} .old {color: #000} .half {opacity: .3}
        .on {background: #d5dce3} .big {color: #6c757d; font-size: 24px} .small {color: #6c757d} .gone {display: none; color: #161b20}</style>
        <p>good</p><pre class=old>black</pre><p class=half>half</p><p class=on>same</p><p class=big>big</p><p class=small>small</p><p class=gone>gone</p>""")
    emulate(chromium, WIDE)
    chromium.get(host.url(tmp_path/'a.html'))
    found = {text: contrast for contrast, _, text in faint(chromium)}
    assert found.keys() == {'black', 'half', 'same', 'small'}
    assert found['black'] == pytest.approx(1.21, abs=.01) and found['same'] == 1


def test_pages_without_javascript(chromium, host):
    "The prose, code, pictures and links of a page are there before any script runs."
    emulate(chromium, WIDE)
    chromium.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', dict(value=True))
    try:
        chromium.get(host.url(DOCS/'motion.html', DOCS))
        text = chromium.find_element('tag name', 'main').text
        pictures = chromium.find_elements('css selector', 'main img')
        assert 'One weighted least-squares problem' in text and 'def MotionModel' in text
        assert len(pictures) >= 5 and all(p.is_displayed() and p.size['width'] > 100 for p in pictures)
        assert chromium.find_element('link text', 'Losses').is_displayed()
    finally: chromium.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', dict(value=False))
