"""The page of `ltseg report` in a real browser: it opens from disk and from a host, scrubs, toggles, tells the truth under the pointer,
works by keyboard and by touch, at 390 and at 1440 pixels, and asks nobody for anything.

Needs Chromium (or Chrome) with its driver, and Selenium; skipped where they are absent. Screenshots go to `artifacts/`.
"""
import json
import re
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from browser import (ARTIFACTS, NARROW, WIDE, chromium, console, emulate, faint, host, needs_axe, requests, stuck, too_wide,  # noqa: F401: fixtures
                     violations)
from ltseg.flow import flow_to_rgb, write_volume
from ltseg.labels import write_palette_png
from ltseg.report import write_report
from ltseg.video import write_video
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.ui import WebDriverWait

T, SIZE = 12, (91, 161)  # odd on purpose
NASTY = '</script><img src=x onerror="document.title=\'broken\'"><b id=injected>&amp;{{data}}'


# ---- results to look at, made by hand: whatever is in them is known

def clip():
    "A disc (1) that goes to the right and a square (2) that stays, on grey noise; a ring (3) from frame 6 on."
    rng, (h, w) = np.random.default_rng(0), SIZE
    y, x = np.mgrid[:h, :w]
    labels = np.zeros((T, h, w), np.uint8)
    for t, frame in enumerate(labels):
        frame[(x - 30 - 6*t)**2 + (y - 28)**2 < 15**2] = 1
        frame[(abs(x - 120) < 12) & (abs(y - 65) < 12)] = 2
        if t >= 6: frame[abs(np.hypot(x - 40, y - 66) - 12) < 4] = 3
    ground = cv2.resize(rng.integers(60, 200, (h//6, w//6, 3), np.uint8), (w, h))
    return np.stack([ground]*T), labels


def affine(u, du, v, dv):
    "A parameter vector of the model Affine: the value in the middle, and the derivatives (down, right) a pixel."
    (h, w), scale = SIZE, [(SIZE[0] - 1)/2, (SIZE[1] - 1)/2]
    return [[du[0]*scale[0], du[1]*scale[1], u, dv[0]*scale[0], dv[1]*scale[1], v]]


# rows are i (down), j (right): 1 moves right; 2 grows by 4 % in area and turns by 2° clockwise about the middle
TURN = np.deg2rad(2)
MOTION = {0: affine(0, (0, 0), 0, (0, 0)), 1: affine(6, (0, 0), 0, (0, 0)),
          2: affine(0, (-TURN, .02), 0, (.02, TURN)), 3: affine(-3, (0, 0), -3, (0, 0))}


def save_result(out, labels, names=None, **changes):
    (out/'labels').mkdir(parents=True)
    names = names or [f'{t:05d}' for t in range(len(labels))]
    for name, frame in zip(names, labels): write_palette_png(out/'labels'/f'{name}.png', frame)
    segments = [dict(label=int(k), motion=dict(control_points=[0], parameters=MOTION.get(int(k), MOTION[1]))) for k in np.unique(labels)]
    story = dict(size=list(labels.shape[1:]), working_size=list(labels.shape[1:]), fps=12., frames=names, motion_model='Affine',
                 segments=segments) | changes
    (out/'segments.json').write_text(json.dumps(story))
    return out


@pytest.fixture(scope='module')
def result(tmp_path_factory):
    "A folder such as `ltseg segment` leaves, with its page."
    out, (frames, labels) = tmp_path_factory.mktemp('viewer')/'OUT', clip()
    save_result(out, labels)
    write_video(out.parent/'clip.mp4', [*frames, frames[-1]], 12)
    write_volume(out.parent/'clip.npz', torch.from_numpy(flow(labels)))
    (out/'settings.json').write_text(json.dumps(dict(source=str(out.parent/'clip.npz'), method='network')))
    write_report(out, source=out.parent/'clip.mp4')
    write_report(out, out/'truth.html', out.parent/'clip.mp4', masks=masks(out.parent/'masks', labels))
    return out


def flow(labels):
    "The flow that the models below describe, but for the ring, which goes the other way: its model explains nothing."
    (h, w), volume = SIZE, np.zeros((2, T, *SIZE), np.float32)
    i, j = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing='ij')
    for k, ((ui, uj, u, vi, vj, v),) in MOTION.items():
        for t in range(T):
            there, way = labels[t] == k, -1 if k == 3 else 1
            volume[0, t][there], volume[1, t][there] = (way*(a*i + b*j + c)[there] for a, b, c in [(ui, uj, u), (vi, vj, v)])
    return volume


def masks(folder, labels):
    "A truth that knows the disc and the square by other numbers; from frame 6 on it has lost the left half of the disc."
    folder.mkdir()
    for t, frame in enumerate(labels):
        true = np.array([0, 5, 9, 0], np.uint8)[frame]
        if t >= 6: true[:, :30 + 6*t][true[:, :30 + 6*t] == 5] = 0
        write_palette_png(folder/f'{t:05d}.png', true)
    return folder


# ---- the browser

@dataclass
class Viewer:
    "A page that is open."
    browser: object
    size: tuple
    host: object

    def open(self, page, at=''):
        "From the host; `at` stands behind the # of the address."
        return self.visit(self.host.url(Path(page)) + at)

    def visit(self, url):
        if self.browser.current_url != 'about:blank': self.browser.get('about:blank')  # another # alone would load nothing
        self.browser.get(url)
        self.until(lambda: self.js('ready'))
        self.settled()
        return self

    def __getitem__(self, name): return self.browser.find_element('id', name)
    def js(self, code, *args): return self.browser.execute_script(f'return {code}', *args)
    def until(self, truth): return WebDriverWait(self.browser, 60, .02).until(lambda _: truth())

    @property
    def frame(self): return int(self['strip'].get_attribute('aria-valuenow')) - 1

    def settled(self):
        "Waits until the frame that was asked for is the one on the canvas."
        self.until(lambda: self.js('canvas.dataset.frame === String(state.k)'))
        return self.frame

    def box(self, name): return self.js('(r => [r.x, r.y, r.width, r.height])($(arguments[0]).getBoundingClientRect())', name)

    def point(self, x, y):
        "Moves the mouse to a pixel of the labels."
        self.js('$("canvas").scrollIntoView({block: "center"})')
        left, top, width, height = self.box('canvas')
        mouse = ActionChains(self.browser, duration=0).w3c_actions
        mouse.pointer_action.move_to_location(round(left + (x + .5)*width/SIZE[1]), round(top + (y + .5)*height/SIZE[0]))
        mouse.perform()

    def under(self):
        "The label that the card names."
        return int(self['card'].get_attribute('data-label'))

    def key(self, *keys): ActionChains(self.browser).send_keys(*keys).perform()

    def pixel(self, x, y):
        "The colour of the canvas there."
        return self.js('[...pen.getImageData(Math.floor((arguments[0] + .5)*canvas.width/w), '
                       'Math.floor((arguments[1] + .5)*canvas.height/h), 1, 1).data].slice(0, 3)', x, y)

    def row(self, label): return self.browser.find_element('css selector', f'#segments li[data-label="{label}"]')
    def box_of(self, label): return self.row(label).find_element('tag name', 'input')

    def complaints(self):
        "What the console says, and what was asked of any network."
        asked = [url for url in requests(self.browser) if not (url.startswith((self.host.root, 'file://')) and '.html' in url)]  # itself
        return [f'console: {said}' for said in console(self.browser)] + [f'request: {url}' for url in asked]


@pytest.fixture(params=[WIDE, NARROW], ids=['1440', '390'])
def viewer(chromium, host, request):
    "The browser at a size; at the end nobody complained."
    yield from prepared(chromium, host, request.param)


@pytest.fixture
def wide(chromium, host): yield from prepared(chromium, host, WIDE)


def prepared(chromium, host, size, dark=False):
    emulate(chromium, size, dark)
    viewer = Viewer(chromium, size, host)
    yield viewer
    assert viewer.complaints() == []


# ---- the tests

def test_opens_from_disk(viewer, result):
    viewer.visit((result/'report.html').as_uri())
    assert viewer['title'].text == 'clip.npz'
    assert '4 segments' in viewer['meta'].text and '161 × 91' in viewer['meta'].text
    assert viewer['trouble'].is_displayed() is False
    assert too_wide(viewer.browser) <= 0
    assert len(viewer.browser.find_elements('css selector', '#segments li')) == 4


def test_label_under_the_pointer(viewer, result):
    viewer.open(result/'report.html')
    rng, square = np.random.default_rng(1), np.ones((5, 5), np.uint8)
    for t in (0, 7):
        viewer.js('show(arguments[0])', t)
        viewer.settled()
        truth = np.array(Image.open(result/'labels'/f'{t:05d}.png'))
        inner = cv2.erode(truth, square) == cv2.dilate(truth, square)  # at 390 pixels, a mouse is exact to half a label
        for label in np.unique(truth):
            y, x = rng.permutation(np.argwhere(inner & (truth == label)))[0]
            viewer.point(x, y)
            assert viewer.under() == label, f'frame {t}, x {x}, y {y}'
            assert str(label) in viewer['card-name'].text
        share = float(viewer['card-area'].text.split()[0])
        assert share == pytest.approx(100*(truth == label).mean(), abs=.06)
        points = rng.integers(0, SIZE[::-1], (300, 2))  # many more, without a real mouse: in the middle of a label's pixel
        seen = viewer.browser.execute_script("""
            const box = canvas.getBoundingClientRect()
            return arguments[0].map(([x, y]) => {
              canvas.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + (x + .5)*box.width/w,
                                                                    clientY: box.top + (y + .5)*box.height/h}))
              return +document.getElementById('card').dataset.label
            })""", points.tolist())
        assert seen == truth[points[:, 1], points[:, 0]].tolist()


def test_motion_in_words(viewer, result):
    viewer.open(result/'report.html')
    viewer.point(30, 28)
    assert viewer['card-move'].text == '→ 6.0 px per frame to the right'
    assert (viewer['card-grow'].text, viewer['card-turn'].text) == ('Keeps its size', 'Does not turn')
    viewer.point(120, 65)  # of the segment that turns about the middle (80, 45) and grows
    dx, dy = 120 - 80, 65 - 45
    speed = np.hypot(.02*dx - TURN*dy, TURN*dx + .02*dy)
    assert float(re.search(r'([\d.]+) px', viewer['card-move'].text)[1]) == pytest.approx(speed, abs=.1)
    assert viewer['card-grow'].text == 'Grows 4.0 % in area per frame'
    assert viewer['card-turn'].text == 'Turns 2.0° per frame clockwise'
    assert '+4.0 % area' in viewer.row(2).text and '2.0° ↻' in viewer.row(2).text
    viewer.point(5, 85)
    assert viewer['card-move'].text == 'Stands still'
    assert 'not in this frame' in viewer.row(3).text
    viewer.js('show(8)')
    viewer.settled()
    assert '↖ 4.2 px' in viewer.row(3).text


def test_scrubbing(viewer, result):
    viewer.open(result/'report.html')
    viewer.js('$("strip").scrollIntoView({block: "center"})')
    left, top, width, height = viewer.box('strip')
    for k in (7, 0, 11, 4):
        x = left + 46 + k/(T - 1)*(width - 56)
        mouse = ActionChains(viewer.browser, duration=0).w3c_actions
        mouse.pointer_action.move_to_location(round(x), round(top + height/3)).click()
        mouse.perform()
        assert viewer.settled() == k
        assert f'Frame {k:05d}' in viewer['now'].text
    before = viewer.js('canvas.toDataURL()')
    drag = ActionChains(viewer.browser, duration=0).w3c_actions
    drag.pointer_action.pointer_down().move_to_location(round(left + width - 12), round(top + 20)).pointer_up()
    drag.perform()
    assert viewer.settled() == T - 1
    assert viewer.js('canvas.toDataURL()') != before
    viewer['previous'].click()
    assert viewer.settled() == T - 2
    viewer['next'].click()
    assert viewer.settled() == T - 1


def test_toggling_hides(viewer, result):
    viewer.open(result/'report.html')
    at = {1: (24, 34), 2: (114, 71)}
    tinted = {k: viewer.pixel(*p) for k, p in at.items()}
    bands = lambda: len(viewer.browser.find_elements('css selector', '#strip polygon'))
    assert bands() == 3 and viewer.box_of(1).is_selected() and not viewer.box_of(0).is_selected()
    viewer.box_of(1).click()
    assert viewer.pixel(*at[1]) != tinted[1] and viewer.pixel(*at[2]) == tinted[2] and bands() == 2
    viewer['none'].click()
    bare = viewer.pixel(*at[2])
    assert bare != tinted[2] and bands() == 0
    viewer.box_of(1).click()
    assert viewer.pixel(*at[1]) == tinted[1]
    viewer['all'].click()
    assert bands() == 4
    viewer.js('($("opacity").value = 0, $("opacity").dispatchEvent(new Event("input")))')
    assert viewer.pixel(*at[2]) == bare
    look = viewer.js('canvas.toDataURL()')
    for option in ('outlines', 'numbers', 'arrows', 'trails'):
        viewer.js('show(2)'); viewer.settled(); look = viewer.js('canvas.toDataURL()')
        viewer[option].click()
        assert viewer.js('canvas.toDataURL()') != look, option
        viewer[option].click()
    assert viewer.pixel(*at[2]) == bare


def test_keyboard(wide, result):
    viewer = wide.open(result/'report.html')
    viewer.key(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, '.')
    assert viewer.settled() == 3
    viewer.key(Keys.ARROW_LEFT)
    assert viewer.settled() == 2
    viewer.key(Keys.END)
    assert viewer.settled() == T - 1
    viewer.key(Keys.HOME)
    assert viewer.settled() == 0
    viewer.key('1')
    assert not viewer.box_of(1).is_selected()
    viewer.key('1', 'o', 'n', 'm', '+')
    assert viewer.box_of(1).is_selected() and viewer['opacity'].get_property('value') == '55'
    assert [viewer[o].is_selected() for o in ('outlines', 'numbers', 'arrows')] == [False, False, True]
    viewer.key(' ')
    assert viewer['play'].accessible_name == 'Pause'
    viewer.until(lambda: viewer.frame >= 3)
    viewer.key(' ')
    stopped = viewer.settled()
    time.sleep(.3)
    assert viewer.settled() == stopped and viewer['play'].accessible_name == 'Play'


def test_focus_goes_everywhere(wide, result):
    viewer, seen = wide.open(result/'report.html'), []
    for _ in range(50):
        viewer.key(Keys.TAB)
        seen.append(viewer.js('document.activeElement.id || document.activeElement.tagName'))
        if seen[-1] == 'BODY': break
    for name in ('theme', 'canvas', 'in', 'full', 'previous', 'play', 'next', 'speed', 'from', 'to', 'strip', 'curve', 'all', 'none', 'opacity',
                 'outlines', 'numbers', 'arrows', 'trails', 'png', 'csv', 'link'):
        assert name in seen
    assert seen.count('INPUT') >= 4 and seen.count('SUMMARY') == 3
    viewer.js('$("canvas").focus()')
    viewer.key('s')  # the cross appears in the middle, and is read out
    assert viewer.under() == 0 and viewer['said'].get_attribute('textContent').startswith('Segment 0 (background)')
    viewer.key(*['d']*12, *['s']*10)
    x, y = viewer.js('[Math.floor(state.at.x*w), Math.floor(state.at.y*h)]')
    assert viewer.under() == 2 == np.array(Image.open(result/'labels/00000.png'))[y, x]
    assert viewer.frame == 0
    viewer.key(Keys.ARROW_RIGHT)  # the film, here as everywhere
    assert viewer.settled() == 1
    viewer.key(Keys.ARROW_LEFT)
    assert viewer.settled() == 0
    viewer.js('$("strip").focus()')
    viewer.key(Keys.PAGE_UP)
    assert viewer.settled() == 10 and viewer['strip'].get_attribute('aria-valuetext') == '11 of 12, frame 00010'
    viewer.js('$("opacity").focus()')
    viewer.key(Keys.ARROW_RIGHT)  # its own arrows, not the film's
    assert viewer.frame == 10 and viewer['opacity'].get_property('value') == '46'


def test_touch(chromium, host, result):
    for viewer in prepared(chromium, host, NARROW):
        viewer.open(result/'report.html')
        left, top, width, height = viewer.box('canvas')
        at = dict(x=left + 30.5*width/SIZE[1], y=top + 28.5*height/SIZE[0])
        viewer.browser.execute_cdp_cmd('Input.dispatchTouchEvent', dict(type='touchStart', touchPoints=[at]))
        viewer.browser.execute_cdp_cmd('Input.dispatchTouchEvent', dict(type='touchEnd', touchPoints=[]))
        assert viewer['reading'].is_displayed() and viewer.under() == 1
        assert viewer.box('card')[1] >= top + height  # below the picture, not over it
        small = viewer.js('[...document.querySelectorAll("button, select")].filter(e => e.getBoundingClientRect().height < 40).map(e => e.id)')
        assert small == []


def test_names_stay_names(wide, tmp_path):
    _, labels = clip()
    out = save_result(tmp_path/'OUT', labels[:2], names=['<b>0', "1'\"&"], segments=[
        dict(label=k, name=f'{NASTY}{k}', motion=dict(parameters=MOTION[k])) for k in range(3)])
    (out/'settings.json').write_text(json.dumps(dict(source=NASTY, method=NASTY, versions={NASTY: NASTY})))
    viewer = wide.open(write_report(out))
    assert viewer['title'].text == Path(NASTY).name and viewer.browser.title != 'broken'
    assert viewer.browser.find_elements('id', 'injected') == []
    assert viewer.row(1).find_element('class name', 'name').text == f'{NASTY}1'
    assert '<b>0' in viewer['now'].text


@pytest.mark.parametrize('shape', [(1, 40, 60), (2, 1, 1), (3, 200, 9), (4, 17, 33)], ids=str)
def test_odd_results(wide, tmp_path, shape):
    "One frame, one pixel, odd shapes, 256 labels: shown, without pictures."
    labels = (np.arange(np.prod(shape)).reshape(shape)*7//3 % 256).astype(np.uint8)
    viewer = wide.open(write_report(save_result(tmp_path/'OUT', labels)))
    viewer['all'].click()
    viewer['arrows'].click()
    viewer.key(Keys.END)
    assert viewer.settled() == shape[0] - 1
    assert viewer['trouble'].is_displayed() is False
    assert too_wide(viewer.browser) <= 0
    top = viewer.js('[...$("strip").querySelectorAll("text")].map(t => t.textContent)')
    assert '100 %' in top


def test_window_by_window(wide, tmp_path):
    "Motion in pieces, as of a long video."
    labels = np.zeros((6, *SIZE), np.uint8)
    pieces = [dict(first=0, frames=3, control_points=1), dict(first=3, frames=3, control_points=1)]
    motion = dict(parameters=[*MOTION[1], *MOTION[3]], pieces=pieces)
    out = save_result(tmp_path/'OUT', labels, segments=[dict(label=0, motion=motion)])
    viewer = wide.open(write_report(out))
    viewer.point(80, 45)
    assert viewer['card-move'].text.startswith('→ 6.0')
    viewer.key(Keys.END)
    viewer.settled()
    assert viewer['card-move'].text.startswith('↖ 4.2')


def test_damaged_page_says_so(chromium, host, result, tmp_path):
    page = tmp_path/'report.html'
    page.write_text(re.sub(r'"labels":\["[^"]{20}', '"labels":["AAAAAAAAAAAAAAAAAAAA', (result/'report.html').read_text(encoding='utf8')), encoding='utf8')
    for viewer in prepared(chromium, host, WIDE):
        viewer.browser.get(page.as_uri())
        viewer.until(lambda: viewer['trouble'].is_displayed())
        assert 'damaged' in viewer['trouble'].text


@pytest.mark.parametrize(('size', 'dark'), list(product([WIDE, NARROW], [False, True])), ids=['1440-light', '1440-dark', '390-light', '390-dark'])
def test_screenshots(chromium, host, result, size, dark):
    for viewer in prepared(chromium, host, size, dark):
        viewer.open(result/'report.html')
        viewer.js('show(7)')
        viewer.settled()
        viewer.point(30 + 6*7, 28)
        ARTIFACTS.mkdir(exist_ok=True)
        shot = ARTIFACTS/f'viewer-{size[0]}-{"dark" if dark else "light"}.png'
        viewer.browser.save_screenshot(str(shot))
        with Image.open(shot) as image: assert image.width == size[0]
        page = viewer.js('getComputedStyle(document.body).backgroundColor')
        assert (max(map(int, re.findall(r'\d+', page))) < 60) is dark
        viewer['theme'].click()  # auto, light, dark
        assert viewer['theme'].text == 'Theme: light'
        assert viewer.js('getComputedStyle(document.body).backgroundColor') == 'rgb(250, 250, 248)'


@needs_axe
@pytest.mark.parametrize(('size', 'dark'), list(product([WIDE, NARROW], [False, True])), ids=['1440-light', '1440-dark', '390-light', '390-dark'])
def test_accessible(chromium, host, result, size, dark):
    for viewer in prepared(chromium, host, size, dark):
        viewer.open(result/'report.html')
        viewer.point(30, 28)
        viewer.js('document.querySelectorAll("details").forEach(d => d.open = true)')
        assert violations(viewer.browser) == []
