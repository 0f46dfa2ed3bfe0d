"""Chromium without a screen, and what a person does in JupyterLab's Dask sidebar."""
import pathlib
import shutil
import sys
import time
from typing import NamedTuple

import rig as rigs

sys.path.append(str(next(rigs.python("browser").parents[1].glob("lib/python3*/site-packages"))))

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

ITEM = ".dask-ClusterListingItem"
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]


class Cluster(NamedTuple):
    title: str
    lines: list


class Browser:
    def __init__(self, path, width=1280, height=1400):
        """path: where its profile is to be made."""
        path = pathlib.Path(path)
        path.mkdir(parents=True, exist_ok=True)
        options = webdriver.ChromeOptions()
        options.page_load_strategy = "none"  # what is looked for is waited for: a page that has not ended loading holds up nothing
        options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
        for argument in [*ARGUMENTS, f"--user-data-dir={path / 'profile'}", f"--window-size={width},{height}"]:
            options.add_argument(argument)
        service = webdriver.ChromeService(shutil.which("chromedriver") or "chromedriver", log_output=str(path / "driver.log"))
        self.driver = webdriver.Chrome(options=options, service=service)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()

    # ------------------------------------------------------------------------------------------------------------- looking

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def look(self, what):
        """The page changes under one's eyes: what has just gone is looked for again."""
        try:
            return what()
        except WebDriverException:
            return None

    def one(self, selector, seconds=60):
        return rigs.until(lambda: self.look(lambda: next((e for e in self.all(selector) if e.is_displayed()), None)), seconds, what=selector)

    def open_sidebar(self, jupyter, notebook=None):
        """notebook: what is open beside it, with its kernel. A page of which a part did not load is loaded again, as one would."""
        for seconds in 30, 60, 60:
            self.driver.get(f"{jupyter.url}lab{'/tree/' + notebook if notebook else ''}?token={jupyter.token}&reset")
            try:
                self.one('[data-id="dask-dashboard-launcher"]', seconds)
                break
            except AssertionError:
                continue
        if notebook:
            self.one('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        self.one('[data-id="dask-dashboard-launcher"]').click()
        self.one(".dask-DaskClusterManager")

    def leave(self):
        self.driver.get("about:blank")

    def texts(self):
        """Of all entries, after the list has been asked for again."""
        self.look(lambda: self.driver.execute_script("document.querySelector('.dask-DaskClusterManager [title=\"Refresh Cluster List\"]').click()"))
        return self.look(lambda: self.driver.execute_script(f"return [...document.querySelectorAll('{ITEM}')].map(item => item.innerText)")) or []

    def titles(self):
        return [text.splitlines()[0] for text in self.texts()]

    def has(self, name):
        return any(title.split(" [")[0] == name for title in self.titles())

    def cluster(self, name, line=None, seconds=60):
        """Its entry, once it is there and has that line."""
        def find():
            entries = [text.splitlines() for text in self.texts()]
            return next((entry for entry in entries if entry[0].split(" [")[0] == name and (line is None or line in entry)), None)
        entry = rigs.until(find, seconds, every=0.5, what=f"{name} {line or ''}")
        return Cluster(entry[0], [text for text in entry[1:] if text.strip() and text not in ("SCALE", "SHUTDOWN")])

    def gone(self, name):
        rigs.until(lambda: not self.has(name), 60, every=0.5, what=f"the end of {name}")

    def wait_for_plots(self):
        self.one(".dask-DashboardListing-item button:not([disabled])")

    def error(self, title):
        """The text of the error dialog that is there, which is then dismissed."""
        dialog = self.one(".jp-Dialog")
        assert dialog.find_element(By.CSS_SELECTOR, ".jp-Dialog-header").text == title, dialog.text
        text = dialog.find_element(By.CSS_SELECTOR, ".jp-Dialog-body").text
        dialog.find_element(By.CSS_SELECTOR, "button.jp-mod-accept, button.jp-mod-reject").click()
        rigs.until(lambda: not self.all(".jp-Dialog"), what="the end of the dialog")
        return text

    # --------------------------------------------------------------------------------------------------------------- doing

    def new(self):
        self.one('[data-command="dask:launch-cluster"]').click()

    def press(self, name, button):
        def find():
            item = next((item for item in self.all(ITEM) if item.text.splitlines()[0].split(" [")[0] == name), None)
            if not item:
                return False
            element = item.find_element(By.CSS_SELECTOR, f"{ITEM}-{button}")
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
            element.click()
            return True
        rigs.until(lambda: self.look(find), what=f"{button} of {name}")

    def scale(self, name, workers):
        def write():  # what is typed before the dialog listens is lost
            number = self.one(".jp-Dialog .dask-ScalingInput")
            number.send_keys(Keys.CONTROL, "a")
            number.send_keys(str(workers))
            return number.get_attribute("value") == str(workers)
        self.press(name, "scale")
        rigs.until(lambda: self.look(write), what=f"{workers} in the dialog")
        self.one(".jp-Dialog button.jp-mod-accept").click()
        rigs.until(lambda: not self.all(".jp-Dialog .dask-ScalingInput"), what="the end of the dialog")

    def shut_down(self, name):
        self.press(name, "stop")

    def choose(self, name):
        self.press(name, "title")

    def cells(self):
        """Their texts, in order."""
        return self.look(lambda: [cell.text for cell in self.all(".jp-Notebook-cell .cm-content")]) or []

    def inject(self, name):
        """The code that connects to it, as a cell of the notebook; the text of it."""
        def find():
            text = next((text for text in self.cells() if "Client" in text), None)
            if not text and time.monotonic() > self.press_again:  # a list that is drawn anew at that moment takes no notice of a press
                self.press(name, "code")
                self.press_again = time.monotonic() + 5
            return text
        self.press_again = 0
        return rigs.until(find, what="the cell")

    def run_cells(self, output):
        """All, from the first on, until one has given that."""
        self.one(".jp-Notebook-cell .cm-content").click()
        for _ in self.cells():
            ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()
        rigs.until(lambda: output in (self.look(lambda: [given.text for given in self.all(".jp-OutputArea-output")]) or []), 90, what=output)

    def plot(self, label):
        """Opens one of the dashboards of the chosen cluster."""
        script = """
            const button = [...document.querySelectorAll('.dask-DashboardListing-item button')].find(button => button.value === arguments[0]);
            button && button.click();
            return !!button"""
        rigs.until(lambda: self.look(lambda: self.driver.execute_script(script, label)), what=f"the plot {label}")

    def wait_for_drawing(self):
        """Until the plot that is open has its figure."""
        drawn = "return [...document.querySelectorAll('iframe')].some(f => [...f.contentDocument.querySelectorAll('*')].some(e => e.shadowRoot))"
        rigs.until(lambda: self.look(lambda: self.driver.execute_script(drawn)), 180, what="the plot")

    def widen(self, pixels):
        """The sidebar."""
        handle = next(e for e in self.all(".lm-SplitPanel-handle") if e.is_displayed())
        ActionChains(self.driver).drag_and_drop_by_offset(handle, pixels, 0).perform()
