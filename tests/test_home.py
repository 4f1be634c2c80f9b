"""The first page and the gallery in a real browser: what is above the fold, films that play under the pointer, at a tap and from the keyboard, and the
viewers that they lead to; wide and narrow, by day and by night. Skipped where the site is not built (`.ci/site.py`)."""
import re
from pathlib import Path

import pytest

from browser import (ARTIFACTS, AXE, NARROW, WIDE, chromium, console, emulate, faint, host, requests, stuck, too_wide,  # noqa: F401: fixtures
                     violations)
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

DOCS = Path(__file__).resolve().parent.parent/'_docs'
VIEWERS = sorted((DOCS/'gallery').glob('*.html'))
if not VIEWERS: pytest.skip('the site is not built: run .ci/site.py', allow_module_level=True)
LOOKS = pytest.mark.parametrize(('size', 'dark'), [(WIDE, False), (WIDE, True), (NARROW, False), (NARROW, True)], ids=['1440-light', '1440-dark', '390-light', '390-dark'])
PLAYING = 'return !arguments[0].paused && arguments[0].currentTime > 0'
STOPPED = 'return arguments[0].paused'


def opened(browser, host, name, size=WIDE, dark=False):
    emulate(browser, size, dark)
    browser.get(host.url(DOCS/f'{name}.html', DOCS))
    return browser


def becomes(browser, script, element): WebDriverWait(browser, 20).until(lambda b: b.execute_script(script, element))


def film(browser, name):
    "A clip of the gallery, in sight: its film and its button."
    card = browser.find_element(By.ID, name)
    browser.execute_script('arguments[0].scrollIntoView({block: "center"})', card)
    return card.find_element(By.TAG_NAME, 'video'), card.find_element(By.TAG_NAME, 'button')


@LOOKS
@pytest.mark.parametrize('page', ['index', 'gallery', 'results', 'commands', 'benchmarks'])
def test_pages_look_right(chromium, host, page, size, dark):
    "Nothing is too wide, too faint or out of reach, nothing is asked of other hosts, and axe-core finds nothing serious."
    opened(chromium, host, page, size, dark)
    assert too_wide(chromium) <= 0 and not faint(chromium) and not stuck(chromium)
    if AXE.is_file(): assert [v for v in violations(chromium) if v[1] in ('serious', 'critical')] == []
    ARTIFACTS.mkdir(exist_ok=True)
    chromium.save_screenshot(str(ARTIFACTS/f'home-{page}-{size[0]}-{"dark" if dark else "light"}.png'))
    assert console(chromium) == [] and [url for url in requests(chromium) if not url.startswith(host.root)] == []


@LOOKS
def test_above_the_fold(chromium, host, size, dark):
    "One sentence, the loop, the command and two buttons are seen without scrolling, and the loop plays."
    opened(chromium, host, 'index', size, dark)
    loop = chromium.find_element(By.CSS_SELECTOR, '.hero video')
    becomes(chromium, PLAYING, loop)
    parts = [chromium.find_element(By.CSS_SELECTOR, f'.hero {part}') for part in ('.lead', 'video', '.command', '.button:first-child', '.button:last-child')]
    for part in parts:
        assert part.is_displayed() and part.rect['y'] >= 0 and part.rect['y'] + part.rect['height'] <= size[1], part.get_attribute('outerHTML')[:80]
    assert parts[1].rect['width'] > .85*min(size[0], 1200)
    wanted = 'tall' if size == NARROW else 'wide'
    assert wanted in chromium.execute_script('return arguments[0].currentSrc', loop), 'the arrangement for this width'
    assert 4 < chromium.execute_script('return arguments[0].duration', loop) < 6


def test_the_loop_stops_at_its_button(chromium, host):
    opened(chromium, host, 'index')
    loop, button = (chromium.find_element(By.CSS_SELECTOR, f'.hero {part}') for part in ('video', 'button'))
    becomes(chromium, PLAYING, loop)
    assert button.text == 'Pause' and button.get_attribute('aria-label').startswith('Pause: ')
    button.click()
    becomes(chromium, STOPPED, loop)
    assert button.text == 'Play'
    button.send_keys(Keys.ENTER)
    becomes(chromium, PLAYING, loop)


def test_the_loop_rests_where_no_motion_is_wanted(chromium, host):
    emulate(chromium, WIDE)
    chromium.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(features=[dict(name='prefers-reduced-motion', value='reduce')]))
    try:
        chromium.get(host.url(DOCS/'index.html', DOCS))
        loop, button = (chromium.find_element(By.CSS_SELECTOR, f'.hero {part}') for part in ('video', 'button'))
        becomes(chromium, STOPPED, loop)
        assert button.text == 'Play'
        chromium.get(host.url(DOCS/'gallery.html', DOCS))
        clip, button = film(chromium, 'demo')
        ActionChains(chromium).move_to_element(clip).perform()
        assert chromium.execute_script(STOPPED, clip)
        button.click()
        becomes(chromium, PLAYING, clip)
    finally: chromium.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(features=[]))


def test_pictures_of_the_minute(chromium, host):
    opened(chromium, host, 'index')
    pictures = chromium.find_elements(By.CSS_SELECTOR, '.minute img')
    chromium.execute_script('arguments[0].scrollIntoView()', pictures[0])
    for picture in pictures: becomes(chromium, 'return arguments[0].complete && arguments[0].naturalWidth > 100', picture)
    assert len(pictures) == 4


def test_films_play_under_the_pointer(chromium, host):
    "And stop when it leaves; not one is loaded before."
    opened(chromium, host, 'gallery')
    assert not [url for url in requests(chromium) if url.endswith('.mp4')]
    clip, button = film(chromium, 'demo')
    ActionChains(chromium).move_to_element(clip).perform()
    becomes(chromium, PLAYING, clip)
    assert button.text == 'Pause'
    ActionChains(chromium).move_to_element(chromium.find_element(By.TAG_NAME, 'h1')).perform()
    becomes(chromium, STOPPED, clip)


def test_films_play_at_a_tap(chromium, host):
    opened(chromium, host, 'gallery', NARROW)
    chromium.execute_cdp_cmd('Emulation.setTouchEmulationEnabled', dict(enabled=True))
    try:
        clip, _ = film(chromium, 'demo')
        for state in (PLAYING, STOPPED):
            where = chromium.execute_script('const r = arguments[0].getBoundingClientRect(); return {x: r.x + r.width/2, y: r.y + r.height/3}', clip)
            chromium.execute_cdp_cmd('Input.dispatchTouchEvent', dict(type='touchStart', touchPoints=[where]))
            chromium.execute_cdp_cmd('Input.dispatchTouchEvent', dict(type='touchEnd', touchPoints=[]))
            becomes(chromium, state, clip)
    finally: chromium.execute_cdp_cmd('Emulation.setTouchEmulationEnabled', dict(enabled=False))


def test_films_play_from_the_keyboard(chromium, host):
    opened(chromium, host, 'gallery')
    clip, button = film(chromium, 'demo')
    for key, state in [(Keys.ENTER, PLAYING), (Keys.SPACE, STOPPED)]:
        button.send_keys(key)
        becomes(chromium, state, clip)


@pytest.mark.parametrize('viewer', VIEWERS, ids=lambda p: p.stem)
def test_titles_open_the_viewer(chromium, host, viewer):
    "Of each clip; it shows a picture, says nothing to the console and asks no other host. Below 6 MB."
    opened(chromium, host, 'gallery')
    assert viewer.stat().st_size < 6e6
    link = chromium.find_element(By.CSS_SELECTOR, f'#{viewer.stem} figcaption > a')
    chromium.execute_script('arguments[0].scrollIntoView({block: "center"})', link)
    link.send_keys(Keys.ENTER)
    WebDriverWait(chromium, 20).until(lambda b: b.current_url.endswith(f'gallery/{viewer.name}'))
    WebDriverWait(chromium, 20).until(lambda b: b.find_elements(By.TAG_NAME, 'canvas'))
    assert console(chromium) == [] and [url for url in requests(chromium) if not url.startswith(host.root)] == []


def test_all_clips_stand_in_the_gallery():
    assert sorted(re.findall(r'href="gallery/(\w+)\.html"', (DOCS/'gallery.html').read_text(encoding='utf8'))) == [p.stem for p in VIEWERS]
