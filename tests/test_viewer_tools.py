"""What the page of `ltseg report` is used for when one looks closely: flow, comparison, zoom, curves, names, loops, exports, links.
By mouse, touch and keyboard, at 390 and 1440 pixels; it shares the results and the browser of `test_viewer`."""
import base64
import csv
import io
import re
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from browser import (ARTIFACTS, NARROW, WIDE, chromium, console, emulate, faint, host, needs_axe, requests, stuck, too_wide,  # noqa: F401: fixtures
                     violations)
from ltseg.cli import main
from ltseg.flow import flow_to_rgb
from ltseg.report import write_index, write_report
from ltseg.video import write_video
from selenium.webdriver import ActionChains, Keys
from test_viewer import SIZE, T, affine, clip, flow, prepared, result, save_result, viewer, wide  # noqa: F401: fixtures

SIDES = list(product([WIDE, NARROW], [False, True]))
NAMES = ['1440-light', '1440-dark', '390-light', '390-dark']


def pick(viewer, name, value):
    "Clicks on one of the switches above the picture."
    box = viewer.browser.find_element('css selector', f'input[name={name}][value={value}]')
    viewer.js('arguments[0].scrollIntoView({block: "center"})', box)
    ActionChains(viewer.browser).move_to_element(box).click().perform()


def bare(viewer):
    for name in ('outlines', 'numbers'):
        if viewer[name].is_selected(): viewer[name].click()


# ---- what the picture shows

def test_flow_model_and_residual(viewer, result):
    viewer.open(result/'report.html')
    bare(viewer)
    viewer.js('show(8)')
    viewer.settled()
    labels = clip()[1][8]
    truth, scale = torch.from_numpy(flow(clip()[1])[:, 8]), viewer.js('data.flow_scale')
    colours = flow_to_rgb(truth, scale)
    at = {1: (30 + 48, 28), 2: (113, 72), 0: (6, 85)}
    pick(viewer, 'view', 'flow')
    for x, y in at.values(): assert viewer.pixel(x, y) == pytest.approx(colours[y, x].tolist(), abs=8)
    pick(viewer, 'view', 'model')
    for x, y in at.values(): assert viewer.pixel(x, y) == pytest.approx(colours[y, x].tolist(), abs=8)
    y, x = np.argwhere(labels == 3)[20]
    away = flow_to_rgb(-truth, scale)[y, x]  # the model of the ring says the opposite of its flow
    assert viewer.pixel(int(x), int(y)) == pytest.approx(away.tolist(), abs=30)
    pick(viewer, 'view', 'residual')
    assert all(max(viewer.pixel(x, y)) < 40 for x, y in at.values()) and max(viewer.pixel(int(x), int(y))) > 180
    assert viewer['legend'].is_displayed() and 'px' in viewer['legend'].text
    viewer.key('v')
    assert viewer.browser.find_element('css selector', 'input[value=picture]').is_selected() and not viewer['legend'].is_displayed()


def test_a_page_without_flow_offers_none(wide, tmp_path):
    viewer = wide.open(write_report(save_result(tmp_path/'OUT', clip()[1])))
    views = {v: viewer.browser.find_element('css selector', f'input[value={v}]').is_enabled() for v in ('picture', 'flow', 'model', 'residual')}
    assert views == dict(picture=True, flow=False, model=True, residual=False)
    viewer.key('v', 'v')
    assert viewer.js('state.view') == 'picture'  # picture, model, picture
    assert viewer.browser.find_elements('css selector', '#curve [value=residual]') == []


def test_arrows_have_lengths_that_can_be_seen(wide, result, tmp_path):
    "Their scale is that of the segments: a quadratic that is small where its segment is, and huge elsewhere, does not spoil it."
    labels = np.zeros((3, *SIZE), np.uint8)
    labels[:, 40:52, 74:88] = 1
    steep = [[0] + [0]*3 + [900.] + [3.] + [0]*6]  # j² and more
    story = dict(motion_model='QuadraticFull', segments=[dict(label=0, motion=dict(control_points=[0], parameters=[[0.]*12])),
                 dict(label=1, motion=dict(control_points=[0], parameters=steep))])
    viewer = wide.open(write_report(save_result(tmp_path/'OUT', labels, **story)))
    speed = viewer.js('motionOf(segments[1], 0).speed')
    corner = viewer.js('motionAt(1, 0, .02, .02).speed')
    assert corner > 50*max(speed, .1)  # it does explode
    viewer['arrows'].click()
    assert viewer.js('arrowScale.typical') < 5*max(speed, 1)


def test_marks_where_the_model_explains_little(wide, result):
    viewer = wide.open(result/'report.html')
    viewer.js('show(7)')
    viewer.settled()
    assert 'explains little' in viewer.row(3).text and not any('explains little' in viewer.row(k).text for k in (0, 1, 2))
    marks = viewer.browser.find_elements('css selector', '#strip .mark')
    assert len(marks) == T - 6  # the ring is there from frame 6 on
    y, x = np.argwhere(clip()[1][7] == 3)[20]
    viewer.point(int(x), int(y))
    assert viewer['card-rest'].text.startswith('⚠ The model explains little')
    viewer.point(5, 85)
    assert viewer['card-rest'].text == '0.0 px of its flow left over'


def test_growth_of_a_thin_segment_is_not_told(wide, tmp_path):
    labels = np.zeros((3, *SIZE), np.uint8)
    labels[:, 40:42] = 1  # two pixels
    labels[:, 50:] = 2
    grows = [affine(0, (0, .03), 0, (.03, 0))[0]]
    motion = dict(control_points=[0], parameters=grows)
    viewer = wide.open(write_report(save_result(tmp_path/'OUT', labels, segments=[dict(label=k, motion=motion) for k in (1, 2)])))
    grown = {k: viewer.js('motionOf(byLabel.get(arguments[0]), 0)', k) for k in (1, 2)}
    assert grown[1]['growth'] == pytest.approx(grown[2]['growth'], abs=.02)
    assert (grown[1]['grows'], grown[2]['grows']) == (False, True)
    assert 'area' not in viewer.row(1).text and 'area' in viewer.row(2).text


# ---- comparison

def test_compare_with_the_truth(viewer, result):
    viewer.open(result/'truth.html')
    j = viewer.js('data.other.j')
    labels = clip()[1]
    disc = [1. if t < 6 else (labels[t][:, 30 + 6*t:] == 1).sum()/(labels[t] == 1).sum() for t in range(T)]
    assert j == pytest.approx([(a + 1)/2 for a in disc], abs=1e-3)
    assert viewer['curve'].get_property('value') == 'agreement' and viewer.browser.find_elements('css selector', '#strip path.curve')
    worst = viewer.browser.find_element('css selector', '#worst button')
    viewer.js('arguments[0].scrollIntoView({block: "center"})', worst)
    worst.click()
    assert viewer.settled() == int(np.argmin(j))
    bare(viewer)
    x, y = 30 + 6*viewer.frame - 8, 28  # of the half of the disc that the truth has lost
    viewer.js('($("wipe").value = 100, draw())')
    ours = viewer.pixel(x, y)
    viewer.js('($("wipe").value = 0, draw())')
    assert viewer.pixel(x, y) != ours and viewer.pixel(x + 14, y) == pytest.approx(ours, abs=60)
    viewer.point(x + 14, y)
    assert 'Truth' in viewer['card-name'].text and viewer.under() == 5
    viewer.key('c')
    assert viewer.js('state.compare') == 'side'
    left, top, width, height = viewer.box('canvas')
    ratio = width/height/(SIZE[1]/SIZE[0])
    assert ratio == pytest.approx(2 if viewer.size == WIDE else .5, rel=.03)


def test_wipe_by_hand(wide, result):
    viewer = wide.open(result/'truth.html')
    viewer.js('$("canvas").scrollIntoView({block: "center"})')
    left, top, width, height = viewer.box('canvas')
    mouse = ActionChains(viewer.browser, duration=0).w3c_actions
    mouse.pointer_action.move_to_location(round(left + width/2), round(top + height/2)).pointer_down().move_to_location(round(left + width/4), round(top + height/2)).pointer_up()
    mouse.perform()
    assert float(viewer['wipe'].get_property('value')) == pytest.approx(25, abs=1.5) and viewer.js('state.zoom') == 1


def test_compare_two_results(wide, result, tmp_path):
    labels = np.array([0, 2, 1, 3], np.uint8)[clip()[1]]
    page = write_report(result, tmp_path/'page.html', result.parent/'clip.mp4', other=save_result(tmp_path/'B', labels))
    viewer = wide.open(page)
    assert viewer.js('data.other.j') == [1.]*T
    assert {r['label']: r['match'] for r in viewer.js('data.other.regions')} == {0: 0, 1: 2, 2: 1, 3: 3}


# ---- nearer

def test_zoom_and_pan(viewer, result):
    viewer.open(result/'report.html')
    bare(viewer)
    viewer['in'].click()
    viewer['in'].click()
    assert viewer.js('state.zoom') == pytest.approx(2.25)
    viewer.js('($("canvas").scrollIntoView({block: "center"}))')
    left, top, width, height = viewer.box('canvas')
    before = viewer.js('[state.x, state.y]')
    mouse = ActionChains(viewer.browser, duration=0).w3c_actions
    mouse.pointer_action.move_to_location(round(left + width/2), round(top + height/2)).pointer_down() \
        .move_to_location(round(left + width/2 + 40), round(top + height/2 + 20)).pointer_up()
    mouse.perform()
    x, y = viewer.js('[state.x, state.y]')
    assert before[0] - x == pytest.approx(40/width/2.25, abs=.01) and before[1] - y == pytest.approx(20/height/2.25, abs=.01)
    fraction = .3, .6  # of the canvas: what the card says is what is there
    viewer.js('canvas.dispatchEvent(new PointerEvent("pointermove", {clientX: arguments[0], clientY: arguments[1]}))', left + fraction[0]*width, top + fraction[1]*height)
    seen = [int((x + fraction[0]/2.25)*SIZE[1]), int((y + fraction[1]/2.25)*SIZE[0])]
    assert viewer.under() == clip()[1][0][seen[1], seen[0]]
    viewer.js('canvas.dispatchEvent(new WheelEvent("wheel", {deltaY: -300, ctrlKey: true, clientX: arguments[0], clientY: arguments[1], cancelable: true}))', left + 10, top + 10)
    assert viewer.js('state.zoom') == pytest.approx(2.25*np.e, rel=.01)
    viewer.key('f')
    assert viewer.js('[state.zoom, state.x, state.y]') == [1, 0, 0] and not viewer['fit'].is_enabled()
    viewer.key('z', 'Z')
    assert viewer.js('state.zoom') == 1


def test_the_wheel_alone_scrolls_the_page(wide, result):
    viewer = wide.open(result/'report.html')
    assert viewer.js('canvas.dispatchEvent(new WheelEvent("wheel", {deltaY: -300, cancelable: true}))') and viewer.js('state.zoom') == 1


def test_pinch(chromium, host, result):
    for viewer in prepared(chromium, host, NARROW):
        viewer.open(result/'report.html')
        left, top, width, height = viewer.box('canvas')
        def touch(kind, *xs): viewer.browser.execute_cdp_cmd('Input.dispatchTouchEvent', dict(type=kind, touchPoints=[
            dict(x=left + x*width, y=top + height/2, id=n) for n, x in enumerate(xs)]))
        touch('touchStart', .45, .55)
        for gap in (.1, .15, .2): touch('touchMove', .5 - gap, .5 + gap)
        touch('touchEnd')
        assert viewer.js('state.zoom') == pytest.approx(4, rel=.15)
        x = viewer.js('state.x')
        touch('touchStart', .5)
        for at in (.6, .7): touch('touchMove', at)
        touch('touchEnd')
        assert viewer.js('state.x') < x - .02


def test_full_screen(wide, result):
    viewer = wide.open(result/'report.html')
    viewer['full'].click()
    viewer.until(lambda: viewer.js('!!document.fullscreenElement'))
    viewer['full'].click()
    viewer.until(lambda: viewer.js('!document.fullscreenElement'))


def test_true_resolution(wide, tmp_path):
    "The pictures of a page have the pixels of the source, up to 1920."
    sizes = {n: write_report(save_result(tmp_path/str(n), np.zeros((2, n//4, n), np.uint8))) for n in (1000, 2400)}
    for n, page in sizes.items(): assert wide.open(page).js('[h, w]') == [min(n, 1920)//4, min(n, 1920)]


# ---- through time

def test_curves(viewer, result):
    viewer.open(result/'report.html')
    for kind in ('speed', 'growth', 'turn', 'residual'):
        viewer.js('($("curve").value = arguments[0], $("curve").dispatchEvent(new Event("change")))', kind)
        paths = {p.get_attribute('data-label'): p.get_attribute('d') for p in viewer.browser.find_elements('css selector', '#strip path.curve[data-label]')}
        assert paths.keys() == {'1', '2', '3'} and viewer['caption'].text
        if kind in ('speed', 'residual'): assert len(re.findall('[ML]', paths['1'])) == T and len(re.findall('[ML]', paths['3'])) == T - 6
        if kind in ('growth', 'turn'): assert not paths['1'] and len(re.findall('[ML]', paths['2'])) == T  # one grows and turns, the other only moves
    viewer['none'].click()
    assert viewer.browser.find_elements('css selector', '#strip path.curve') == []


def test_loop(wide, result):
    viewer = wide.open(result/'report.html')
    viewer.js('show(4)')
    viewer.settled()
    viewer.key('[')
    viewer.key(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, ']')
    viewer.settled()
    assert viewer.js('looped()') == [4, 6] and viewer['from'].get_attribute('aria-pressed') == 'true'
    assert viewer.browser.find_elements('css selector', '#strip .loop')
    viewer.js('(window.seen = [], new MutationObserver(() => seen.push(+canvas.dataset.frame)).observe(canvas, {attributes: true, attributeFilter: ["data-frame"]}))')
    viewer.key(' ')
    viewer.until(lambda: viewer.js('seen.length') > 7)
    viewer.key(' ')
    assert set(viewer.js('seen')) == {4, 5, 6}
    viewer.js('show(6)')
    viewer.settled()
    viewer['to'].click()  # again at the same frame: no end
    assert viewer.js('looped()') == [4, T - 1]


def test_arrow_keys_keep_their_meaning(wide, result):
    "After a click on the picture, a box, a slider or a list they still go from frame to frame."
    viewer = wide.open(result/'report.html')
    viewer['canvas'].click()
    viewer.key(Keys.ARROW_RIGHT)
    assert viewer.settled() == 1
    for name in ('outlines', 'opacity', 'in'):
        viewer[name].click()
        viewer.key(Keys.ARROW_RIGHT)
    pick(viewer, 'view', 'flow')
    viewer.key(Keys.ARROW_RIGHT)
    assert viewer.settled() == 5 and viewer.js('state.view') == 'flow'


def test_trails(wide, result):
    viewer = wide.open(result/'report.html')
    bare(viewer)
    viewer.js('show(8)')
    viewer.settled()
    x, y = 30 + 6*4, 28  # where the disc's centre was four frames ago
    before = viewer.pixel(x, y)
    viewer.key('t')
    assert viewer.pixel(x, y) != before and viewer['trails'].is_selected()


# ---- segments

def test_solo_and_back(viewer, result):
    viewer.open(result/'report.html')
    def seen(): return [k for k in range(4) if viewer.box_of(k).is_selected()]
    viewer.box_of(3).click()
    assert seen() == [1, 2]
    button = viewer.row(2).find_element('css selector', '[aria-label^="Show alone"]')
    button.click()
    assert seen() == [2] and button.get_attribute('aria-pressed') == 'true'
    button.click()
    assert seen() == [1, 2] and button.get_attribute('aria-pressed') == 'false'
    ActionChains(viewer.browser).key_down(Keys.SHIFT).send_keys('1').key_up(Keys.SHIFT).perform()
    assert seen() == [1]


def test_names_are_kept_in_the_link(viewer, result):
    viewer.open(result/'report.html')
    viewer.row(1).find_element('css selector', '[aria-label^="Name"]').click()
    field = viewer.row(1).find_element('class name', 'rename')
    field.send_keys('Disc & <b>co</b>', Keys.ENTER)
    assert viewer.row(1).find_element('class name', 'name').text == 'Disc & <b>co</b>' and not viewer.browser.find_elements('css selector', '#segments b')
    viewer.until(lambda: 'Disc' in viewer.js('location.hash'))
    viewer.open(result/'report.html', viewer.js('location.hash'))
    assert viewer.row(1).find_element('class name', 'name').text == 'Disc & <b>co</b>'
    viewer.point(30, 28)
    assert viewer['card-name'].text == 'Disc & <b>co</b>'


# ---- what is kept

def test_link(wide, result):
    "It leads to the same frame and switches; what is wrong in one does nothing."
    viewer = wide.open(result/'report.html')
    viewer.js('show(5)')
    viewer.settled()
    viewer.box_of(2).click()
    viewer.key('z', 'v', 'n', '+', '[')
    viewer.js('($("curve").value = "speed", $("curve").dispatchEvent(new Event("change")))')
    seen = 'address()'
    address = viewer.js(seen)
    viewer.until(lambda: viewer.js('location.hash') == f'#{address}')
    def picture(): return [viewer.pixel(x, y) for x, y in [(30, 20), (80, 45), (130, 70)]]
    before = picture()
    viewer.open(result/'report.html', f'#{address}')
    assert viewer.frame == 5 and viewer.js(seen) == address
    assert viewer.js('state.view') == 'flow' and not viewer.box_of(2).is_selected() and viewer['curve'].get_property('value') == 'speed'
    assert np.array(picture()) == pytest.approx(np.array(before), abs=6)
    viewer.open(result/'report.html', '#f=99999&v=%22%5D&z=x+y&l=700+-1&h=900&o=&k=nothing&n=77+gone&n=&s=12&c=wipe&b=x')
    assert viewer.frame == 0 and viewer['trouble'].is_displayed() is False and viewer.js('[state.view, state.zoom, state.compare]') == ['picture', 1, 'off']
    viewer['link'].click()
    viewer.until(lambda: viewer['kept'].is_displayed())
    assert 'link' in viewer['kept'].text


def caught(viewer, button):
    "What a click saves: (name, bytes)."
    viewer.js('(HTMLAnchorElement.prototype.click = function () { fetchless(this) }, window.blobs = [], window.saved = null, '
              'URL.createObjectURL = blob => { blobs.push(blob); return "data:," }, '
              'window.fetchless = a => { const r = new FileReader(); r.onload = () => saved = [a.download, r.result]; r.readAsDataURL(blobs.at(-1)) }, 0)')
    viewer[button].click()
    viewer.until(lambda: viewer.js('window.saved'))
    name, text = viewer.js('window.saved')
    return name, base64.b64decode(text.partition(',')[2])


def test_frame_as_png(viewer, result):
    viewer.open(result/'report.html')
    bare(viewer)
    name, data = caught(viewer, 'png')
    image = np.array(Image.open(io.BytesIO(data)).convert('RGB')).astype(int)
    assert name == 'clip.npz-00000-picture.png' and image.shape[:2] == SIZE
    frame = clip()[0][0].astype(int)
    assert abs(image[70:90, 5:60] - frame[70:90, 5:60]).mean() < 12  # of the background, which has no colour


def test_motions_as_csv(wide, result):
    viewer = wide.open(result/'report.html')
    name, data = caught(viewer, 'csv')
    rows = list(csv.DictReader(io.StringIO(data.decode('utf-8-sig'))))
    assert name == 'clip.npz-motions.csv' and len(rows) == 3*T + T - 6
    disc = [r for r in rows if r['segment'] == '1']
    assert [float(r['u']) for r in disc] == pytest.approx([6]*T, abs=.01) and [float(r['x']) for r in disc] == pytest.approx([30.5 + 6*t for t in range(T)], abs=1)
    square = next(r for r in rows if r['segment'] == '2')
    assert (float(square['growth_percent']), float(square['turn_degrees'])) == pytest.approx((4, 2), abs=.01) and not disc[0]['growth_percent']
    assert [r['explains_little'] for r in rows if r['segment'] == '3'] == ['1']*(T - 6)


def ltseg(*words): return main(list(map(str, words)))


def test_pages_from_the_command_line(tmp_path, capsys):
    "Two results, a clip, an archive; what has no meaning there is refused, and nothing is written."
    for name in ('A', 'B'): save_result(tmp_path/name, clip()[1][:3])
    write_video(tmp_path/'A'/'overlay.mp4', clip()[0][:3], 12)
    assert ltseg('report', tmp_path/'A', tmp_path/'B', '-o', tmp_path/'page.html') == 0 and '"j":[1.0,1.0,1.0]' in (tmp_path/'page.html').read_text('utf8')
    assert ltseg('report', tmp_path/'A', '--clip', tmp_path/'clip.gif', '--width', 80) == 0
    with Image.open(tmp_path/'clip.gif') as image: assert (image.size, image.n_frames) == ((80, 45), 3)
    (tmp_path/'manifest.csv').write_text('video,state,frames,seconds,error\n')
    before = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
    for words, says in [(['A', 'B', '--clip', 'c.gif'], 'OTHER: has no meaning beside --clip'), (['A', '--clip', 'c.txt'], 'ends in .gif'),
                        (['', '--truth', 'A'], '--truth: has no meaning beside the index'), (['A', '--truth', 'nowhere'], 'no folder'),
                        (['A', '--truth', 'B'], 'no 00000.png'), (['A', 'nowhere'], 'no folder'), (['A', 'B', '--truth', 'B/labels'], 'not with both')]:
        assert ltseg('report', *(w if w.startswith('-') else tmp_path/w for w in words)) == 2 and says in capsys.readouterr().err
    assert before == {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
    assert ltseg('report', tmp_path) == 0
    assert sorted(set(p.name for p in tmp_path.rglob('*.html'))) == ['index.html', 'page.html', 'report.html']


# ---- how it looks

@pytest.mark.parametrize(('size', 'dark'), SIDES, ids=NAMES)
def test_tools_look_well(chromium, host, result, size, dark):
    "Nothing is wider than the window, too faint, or out of reach, whatever is switched on; screenshots to be looked at."
    ARTIFACTS.mkdir(exist_ok=True)
    for viewer in prepared(chromium, host, size, dark):
        viewer.open(result/'truth.html')
        viewer.js('show(7)')
        viewer.settled()
        viewer.row(1).find_element('css selector', '[aria-label^="Name"]').click()
        for name, work in [('wipe', ''), ('side', 'setCompare("side")'), ('residual', 'setView("residual")'), ('near', 'zoomTo(3)')]:
            viewer.js(f'({work or 0}, scrollTo(0, 0))')
            assert too_wide(viewer.browser) <= 0 and faint(viewer.browser) == [] and stuck(viewer.browser) == [], name
            viewer.browser.save_screenshot(str(ARTIFACTS/f'viewer-{name}-{size[0]}-{"dark" if dark else "light"}.png'))


@needs_axe
@pytest.mark.parametrize(('size', 'dark'), [(WIDE, False), (NARROW, True)], ids=['1440-light', '390-dark'])
def test_tools_are_accessible(chromium, host, result, size, dark):
    for viewer in prepared(chromium, host, size, dark):
        viewer.open(result/'truth.html')
        viewer.js('(document.querySelectorAll("details").forEach(d => d.open = true), setView("flow"))')
        viewer.point(30, 28)
        assert violations(viewer.browser) == []


@pytest.mark.parametrize(('size', 'dark'), SIDES, ids=NAMES)
def test_index_of_an_archive(chromium, host, tmp_path, size, dark):
    "The worst explained first, with pictures; what is damaged is listed; names stay names."
    for name, loss in [('good', .1), ('bad <b>', .7)]:
        out = save_result(tmp_path/name, clip()[1][:3])
        story = out/'segments.json'
        story.write_text(story.read_text().replace('"label": 0,', f'"label": 0, "mean_area": 1.0, "relative_loss": {loss},'))
    (tmp_path/'odd').mkdir()
    (tmp_path/'odd'/'segments.json').write_text('{')
    page = write_index(tmp_path)
    for viewer in prepared(chromium, host, size, dark):
        viewer.browser.get(host.url(page, tmp_path))
        names = [b.text for b in viewer.browser.find_elements('css selector', 'li b')]
        assert names == ['bad <b>', 'good', 'odd'] and too_wide(viewer.browser) <= 0 and faint(viewer.browser) == []
        pictures = viewer.browser.find_elements('tag name', 'img')
        assert len(pictures) == 2 and all(p.get_property('naturalWidth') for p in pictures)
        viewer.browser.save_screenshot(str(ARTIFACTS/f'viewer-index-{size[0]}-{"dark" if dark else "light"}.png'))
        viewer.browser.find_element('css selector', 'li a').click()
        viewer.until(lambda: viewer.js('window.ready === undefined && typeof ready !== "undefined" && ready'))
        assert viewer['title'].text == 'bad <b>'


def test_weight(tmp_path, root):
    "The page itself, without what it shows."
    import gzip
    template = (root/'ltseg'/'report_template.html').read_bytes()
    assert len(gzip.compress(template)) < 60_000
