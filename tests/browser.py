"Chromium for the tests that look at pages as people do; they are skipped where it, its driver or Selenium is absent."
import json
import os
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

ARTIFACTS = Path(__file__).resolve().parent.parent/'artifacts'
AXE = Path(os.environ.get('AXE_CORE', ARTIFACTS/'npm'/'node_modules'/'axe-core'/'axe.min.js'))
CHROMIUM = next(filter(None, map(shutil.which, ['chromium', 'chromium-browser', 'google-chrome', 'chrome'])), None)
DRIVER = shutil.which('chromedriver')
if not (CHROMIUM and DRIVER):
    pytest.skip('no Chromium with chromedriver here (Debian: chromium, chromium-driver)', allow_module_level=True)
webdriver = pytest.importorskip('selenium.webdriver', reason='no Selenium here: pip install selenium')
from selenium.common.exceptions import WebDriverException  # noqa: E402: after the check that it is there

FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--hide-scrollbars']
WIDE, NARROW = (1440, 900), (390, 844)
needs_axe = pytest.mark.skipif(not AXE.is_file(), reason=f'no axe-core here: npm install --prefix {ARTIFACTS/"npm"} axe-core')


@pytest.fixture(scope='session')
def chromium(tmp_path_factory):
    "A browser that logs what the console says and what is asked of the network."
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f'--user-data-dir={tmp_path_factory.mktemp("profile")}']: options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    try: browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    except WebDriverException as e: pytest.skip(f'Chromium does not start here: {e.msg}')
    yield browser
    browser.quit()


class Quiet(SimpleHTTPRequestHandler):
    "Files of several folders, each under its number, as a host of pages gives them: scripts that are modules do not load from a disk."
    def __init__(self, *args, folders, **kwargs):
        self.folders = folders
        super().__init__(*args, **kwargs)

    def translate_path(self, path):
        number, _, rest = path.lstrip('/').partition('/')
        self.directory = str(self.folders[int(number)] if number.isdigit() else '/nothing')
        return super().translate_path('/' + rest)

    def log_message(self, *_): pass


class Host:
    "A server on the loopback."
    def __init__(self):
        self.folders = []
        self.server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, folders=self.folders))
        self.root = f'http://127.0.0.1:{self.server.server_port}/'
        Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, file: Path, folder: Path = None) -> str:
        "The address of a file; `folder`, where it lies or above, is the top that pages may reach."
        folder = Path(folder or file.parent).resolve()
        if folder not in self.folders: self.folders.append(folder)
        return f'{self.root}{self.folders.index(folder)}/{quote(str(Path(file).resolve().relative_to(folder)))}'


@pytest.fixture(scope='session')
def host():
    server = Host()
    yield server
    server.server.shutdown()


def emulate(browser, size: tuple, dark: bool = False):
    "A window of this size, by day or by night; nothing of earlier pages is left in the logs."
    resize(browser, size, dark)
    browser.get('about:blank')
    console(browser), requests(browser)


def resize(browser, size: tuple, dark: bool = False):
    "The open page at this size, by day or by night."
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', dict(width=size[0], height=size[1], deviceScaleFactor=1, mobile=size == NARROW))
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(features=[dict(name='prefers-color-scheme', value='dark' if dark else 'light')]))


def console(browser) -> list:
    "What the console says."
    return [entry['message'] for entry in browser.get_log('browser') if entry.get('source') != 'rendering']  # advice on speed, for what only tests do


def requests(browser) -> list:
    "Addresses of all that was asked for and is not in the page."
    found = []
    for entry in browser.get_log('performance'):
        message = json.loads(entry['message'])['message']
        if message['method'] in ('Network.requestWillBeSent', 'Network.webSocketCreated'):
            url = message['params'].get('request', message['params']).get('url', '')
            if not url.startswith(('data:', 'blob:', 'chrome:', 'about:')): found.append(url[:200])
    return found


def too_wide(browser) -> int:
    "By how many pixels the page is wider than the window. `innerWidth` would grow with the page on a phone."
    return browser.execute_script('return document.documentElement.scrollWidth - document.documentElement.clientWidth')


def violations(browser, contrast: bool = True) -> list:
    """(rule, impact, where) of what axe-core finds; without the `contrast` of texts, which takes it longer than all the rest, where `faint` looks at that.
    That links differ from the text around them takes it half of the rest: it is asked only where one is not underlined.
    It stays in the page: files may not speak to the frames in them, which the console would say of the next page. Only faults come back."""
    browser.execute_script(AXE.read_text(encoding='utf8'))
    passes, faults = browser.execute_async_script("""
        const [contrast, done] = arguments, plain = a => !getComputedStyle(a).textDecorationLine.includes('underline')
        const links = contrast || [...document.querySelectorAll(':is(p, li, dd, td, figcaption):not(nav *) a[href]')].some(plain)
        const rules = {'color-contrast': {enabled: contrast}, 'link-in-text-block': {enabled: links}}
        axe.run({iframes: false, resultTypes: ['violations'], rules}).then(r => done([r.passes.length,
            r.violations.map(v => [v.id, v.impact, v.nodes.slice(0, 3).map(n => n.html.slice(0, 100))])]))""", contrast)
    assert passes > 10, 'axe-core has not looked at the page'
    return [tuple(fault) for fault in faults]


def stuck(browser) -> list:
    "What scrolls sideways here and cannot be reached by the keyboard, in which it could be scrolled."
    return browser.execute_script("""
        const wide = e => e.scrollWidth > e.clientWidth + 1 && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
        return [...document.body.querySelectorAll('*')].filter(e => e.checkVisibility() && wide(e) && e.tabIndex < 0
            && !e.querySelector('a[href], button, input, select, [tabindex="0"]')).map(e => e.outerHTML.slice(0, 100))""")


def faint(browser) -> list:
    """(contrast, colours, text) of the texts in the open page that WCAG calls too faint: below 4.5, or 3 for big ones. It is what axe-core finds in
    seconds, in milliseconds: of each text the colour, and what its element and those around it have laid under it; behind a picture nobody knows."""
    return [tuple(f) for f in browser.execute_script(r"""
        const parse = text => { const n = text.match(/[\d.]+/g).map(Number); return text.startsWith('color(srgb') ? [...n.slice(0, 3).map(x => 255*x), n[3] ?? 1] : [...n.slice(0, 3), n[3] ?? 1] }
        const over = (top, under) => [0, 1, 2].map(i => top[i]*top[3] + under[i]*(1 - top[3]))
        const light = rgb => { const [r, g, b] = rgb.map(c => (c /= 255) <= .04045 ? c/12.92 : ((c + .055)/1.055)**2.4); return .2126*r + .7152*g + .0722*b }
        const known = new Map()
        const ground = element => { // what lies under its text; null behind a picture
          if (!element) return parse(getComputedStyle(document.documentElement).colorScheme === 'dark' ? 'rgb(18, 18, 18)' : 'rgb(255, 255, 255)').slice(0, 3)
          if (known.has(element)) return known.get(element)
          const style = getComputedStyle(element), own = parse(style.backgroundColor)
          const under = own[3] < 1 ? ground(element.parentElement) : [0, 0, 0]
          const found = style.backgroundImage !== 'none' || !under ? null : over(own, under)
          known.set(element, found)
          return found
        }
        const shown = new Map([[null, 1]])
        const opacity = element => { // with that of all around it
          if (!shown.has(element)) shown.set(element, opacity(element.parentElement)*getComputedStyle(element).opacity)
          return shown.get(element)
        }
        const faults = new Map(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
        while (walker.nextNode()) {
          const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement
          if (!text || element.closest('script, style, noscript, canvas, option, template, [aria-hidden=true], :disabled, .visually-hidden')) continue
          if (!element.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue
          const under = ground(element)
          if (!under) continue
          const style = getComputedStyle(element), size = parseFloat(style.fontSize)
          const colour = parse(element.closest('svg') ? style.fill : style.color)
          colour[3] *= opacity(element)
          const [a, b] = [light(over(colour, under)), light(under)].sort((a, b) => b - a), contrast = (a + .05)/(b + .05)
          if (contrast < (size >= 24 || size >= 18.66 && +style.fontWeight >= 700 ? 3 : 4.5))
            faults.set(`${style.color} ${under}`, [Math.round(contrast*100)/100, `${style.color} on ${under.map(Math.round)}`, text.slice(0, 60)])
        }
        return [...faults.values()]""")]
