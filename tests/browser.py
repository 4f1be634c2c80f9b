"Chromium for the tests that look at pages as people do; they are skipped where it, its driver or Selenium is absent."
import json
import os
import shutil
from pathlib import Path

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


def emulate(browser, size: tuple, dark: bool = False):
    "A window of this size, by day or by night; nothing of earlier pages is left in the logs."
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', dict(width=size[0], height=size[1], deviceScaleFactor=1, mobile=size == NARROW))
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(features=[dict(name='prefers-color-scheme', value='dark' if dark else 'light')]))
    browser.get('about:blank')
    console(browser), requests(browser)


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


def violations(browser) -> list:
    "(rule, impact, where) of what axe-core finds. It stays in the page: files may not speak to the frames in them, which the console would say of the next page."
    browser.execute_script(AXE.read_text(encoding='utf8'))
    found = browser.execute_async_script('axe.run({iframes: false}).then(arguments[0])')
    assert len(found['passes']) > 10, 'axe-core has not looked at the page'
    return [(v['id'], v['impact'], [n['html'][:100] for n in v['nodes']][:3]) for v in found['violations']]
