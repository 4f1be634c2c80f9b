"The page of `ltseg app` in a browser, as somebody uses it who would rather not type commands."
import re
import tempfile
import threading
import time
import zipfile

import pytest

pytest.importorskip('gradio', reason='no Gradio here: pip install "ltseg[app]"')
from browser import NARROW, WIDE, chromium, console, emulate, requests, resize, too_wide  # noqa: F401: fixtures
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.support.ui import WebDriverWait

from ltseg.app import serve_app
from ltseg.inference import EMMethod
from ltseg.motion import MotionModel
from ltseg.synthetic import demo_scene
from ltseg.video import write_video


class Gate:
    "A method that waits to be let on, window by window, and counts how many ask at once."
    max_segments, about = 4, dict(method='gate')
    def __init__(self): self.method, self.on, self.free, self.lock, self.now, self.most = EMMethod(MotionModel('Affine')), threading.Semaphore(0), False, threading.Lock(), 0, 0

    def __call__(self, flow, K):
        with self.lock: self.now, self.most = self.now + 1, max(self.most, self.now + 1)
        try:
            while not self.free and not self.on.acquire(timeout=.05): pass
            return self.method(flow, K)
        finally:
            with self.lock: self.now -= 1

    def __enter__(self): return self
    def __exit__(self, *_): self.free = True # whatever a test has left waiting


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp('clips')
    write_video(folder/'walk.mp4', demo_scene(13, (96, 160)).frames, fps=12)
    write_video(folder/'run.mp4', demo_scene(13, (96, 160), 1).frames, fps=12)
    (folder/'<b>broken.mp4').write_bytes(b'no video'*100)
    (folder/'huge.mp4').write_bytes(bytes(1_100_000))
    return folder


class Page:
    "What a visitor sees and does."
    def __init__(self, browser, address):
        self.browser = browser
        browser.get(address)
        self.wait(lambda: self.find('#go') and self.find('#video input[type=file]'))

    def wait(self, condition):
        try: return WebDriverWait(self.browser, 120, .1).until(lambda _: condition())
        except TimeoutException: raise AssertionError(f'it does not come; the page says: {self.text("body")} {self.says()}') from None
    def find(self, where): return next(iter(self.browser.find_elements('css selector', where)), None)
    def html(self, where): return self.browser.execute_script('return document.querySelector(arguments[0]).innerHTML', where)
    def text(self, where): return self.browser.execute_script('return document.querySelector(arguments[0]).innerText', where)
    def found(self): return self.browser.execute_script('return document.querySelector("#found textarea, #found input").value')
    def click(self, where): self.browser.execute_script('document.querySelector(arguments[0]).click()', where)

    def drop(self, file):
        if (remove := self.find('#video button[aria-label*="lear"], #video button[aria-label*="emove"]')) is not None: remove.click()
        self.wait(lambda: self.find('#video input[type=file]')).send_keys(str(file))

    def dropped(self, file):
        self.drop(file)
        self.wait(lambda: file.stem.split('>')[-1] in self.text('#video'))

    def choose(self, K):
        self.find('#number input').click()
        option = self.wait(lambda: next((o for o in self.browser.find_elements('css selector', '[role=option]') if o.text.strip().endswith(K)), None))
        self.browser.execute_script('arguments[0].dispatchEvent(new MouseEvent("mousedown", {bubbles: true}))', option)

    def says(self): return self.browser.execute_script('return [...document.querySelectorAll("[data-testid=toast-body]")].map(e => e.innerText).join(" ")')


@pytest.fixture
def home(tmp_path, monkeypatch):
    "Where the page puts all that it makes."
    (tmp_path/'temporary').mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path/'temporary'))
    return lambda: [p for p in (tmp_path/'temporary').rglob('*') if p.is_file() and p.stat().st_size]


def test_a_visit(chromium, clips, home, tmp_path):
    "Drop, choose, see how far it is, look, export, download, leave; nobody else is asked for anything."
    emulate(chromium, WIDE)
    chromium.execute_cdp_cmd('Browser.setDownloadBehavior', dict(behavior='allow', downloadPath=str(tmp_path/'got')))
    with serve_app(method=(gate := Gate()), window=4, overlap=1) as address, gate:
        page = Page(chromium, address)
        page.dropped(clips/'walk.mp4')
        page.choose('2')
        page.click('#go')
        for windows in (1, 2): gate.on.release()
        page.wait(lambda: re.search('[1-9]/12 frames', page.text('#found')))
        gate.free = True
        page.wait(lambda: page.found() == '2 segments in 12 flows')
        chromium.switch_to.frame(page.wait(lambda: page.find('#viewer iframe')))
        page.wait(lambda: page.find('canvas') and 'Segment 1' in page.text('body'))
        chromium.switch_to.default_content()
        for size in (WIDE, NARROW):
            resize(chromium, size)
            assert too_wide(chromium) <= 0
        resize(chromium, WIDE)
        for label in chromium.find_elements('css selector', '#formats label'):
            if label.text.strip() in ('coco', 'csv'): label.click()
        page.click('#export')
        page.wait(lambda: len(chromium.find_elements('css selector', '#archives a')) == 2)
        for link in chromium.find_elements('css selector', '#archives a, #pages a'): chromium.execute_script('arguments[0].click()', link)
        page.wait(lambda: {p.name for p in (tmp_path/'got').glob('*')} == {'walk-coco.zip', 'walk-csv.zip', 'report.html', 'overlay.mp4'})
        with zipfile.ZipFile(tmp_path/'got'/'walk-csv.zip') as archive: assert archive.read('motion.csv').startswith(b'frame,name,time,segment')
        assert '<html' in (tmp_path/'got'/'report.html').read_text('utf8')
        page.choose('3') # once more, the video is still there
        page.click('#go')
        page.wait(lambda: page.found() == '3 segments in 12 flows')
        assert [url for url in requests(chromium) if not url.startswith(address)] == []
        assert [said for said in console(chromium) if 'Method not implemented' not in said] == [] # Gradio's own, which harms nobody
        assert home()
        chromium.get('about:blank')
        page.wait(lambda: not home())


def test_what_goes_wrong_is_said(chromium, clips, home):
    "In words, and with names as they are; afterwards the page works."
    emulate(chromium, WIDE)
    with serve_app(method='em', upload=1) as address:
        page = Page(chromium, address)
        page.click('#go')
        page.wait(lambda: 'Drop a video first' in page.says())
        page.click('#export')
        page.wait(lambda: 'Segment a video first' in page.says())
        page.drop(clips/'huge.mp4')
        page.wait(lambda: 'size' in page.says())
        chromium.refresh()
        page.wait(lambda: page.find('#video input[type=file]'))
        page.dropped(clips/'<b>broken.mp4')
        page.click('#go')
        page.wait(lambda: 'broken.mp4: expected a complete video' in page.says())
        assert 'job-' not in page.says() and 'uploads' not in page.says()
        page.dropped(clips/'run.mp4')
        page.click('#go')
        page.wait(lambda: 'segments in 12 flows' in page.found())
        assert {p.name for p in home()} >= {'run.mp4', 'report.html'} and not [p for p in home() if 'broken' in p.name]


def test_one_at_a_time(chromium, clips, home):
    "The second visitor waits for the first, who can stop; who leaves meanwhile is not worked for."
    emulate(chromium, WIDE)
    with serve_app(method=(gate := Gate()), window=4, overlap=1) as address, gate:
        pages, tabs = [], []
        for name in ('walk', 'run'):
            if tabs: chromium.switch_to.new_window('tab')
            tabs.append(chromium.current_window_handle)
            pages.append(Page(chromium, address))
            pages[-1].dropped(clips/f'{name}.mp4')
            pages[-1].click('#go')
            if name == 'walk': pages[0].wait(lambda: gate.now == 1)
        pages[1].wait(lambda: 'queue' in pages[1].text('#found'))
        chromium.switch_to.window(tabs[0])
        pages[0].click('#stop')
        time.sleep(.5)
        gate.free = True
        pages[0].wait(lambda: 'walk.mp4: stopped' in pages[0].says())
        chromium.switch_to.window(tabs[1])
        pages[1].wait(lambda: 'segments in 12 flows' in pages[1].found())
        assert gate.most == 1
        chromium.close()
        chromium.switch_to.window(tabs[0])
        pages[0].wait(lambda: not [p for p in home() if 'run' in str(p)])
        chromium.get('about:blank')
    assert home() == []
