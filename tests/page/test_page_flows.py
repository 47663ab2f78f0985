"""What people do with the pages, end to end: a real browser, a real service, real searches."""

import io
import re
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from .conftest import HOSTILE, MLP, TRAINED_MS


def test_a_key_leads_in_and_back_to_where_one_was(stranger, site):
    page = stranger.new_page()
    page.goto(site.url("/?status=failed"))
    expect(page).to_have_url(re.compile(r"/key\?next="))
    page.get_by_label("Key").fill("bgk_" + "x" * 43)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not known")
    page.get_by_label("Key").fill(site.key)
    page.keyboard.press("Enter")
    expect(page).to_have_url(site.url("/?status=failed"))
    expect(page.get_by_text("raise budget.time_limit_s")).to_be_visible()  # why it failed, in words
    assert page.evaluate("document.cookie") == ""
    cookie = stranger.cookies()[0]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")

    with sqlite3.connect(site.service.home / "bregnas.db") as database:
        database.execute("UPDATE sessions SET expires_at = 0")
    page.get_by_role("link", name="too short").click()
    expect(page).to_have_url(re.compile(r"/key\?next=%2Fsearches%2Fsrch_"))
    page.get_by_label("Key").fill(site.key)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="too short")).to_be_visible()

    foreign = site.url("/key?next=https://example.org/")
    page.goto(foreign)  # let in already, so it goes on at once: to this site
    expect(page).to_have_url(site.url("/"))
    page.goto(site.url("/key?next=/.//example.org/"))
    expect(page).to_have_url(site.url("//example.org/"))  # a path of this site, and no other host

    page.goto(site.url("/new"))
    page.get_by_label("Name", exact=True).fill("what I typed")
    page.get_by_label("Name", exact=True).blur()
    with sqlite3.connect(site.service.home / "bregnas.db") as database:
        database.execute("UPDATE sessions SET expires_at = 0")
    page.get_by_role("button", name="Start the search").click()
    page.get_by_label("Key").fill(site.key)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_have_value("what I typed")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(site.url("/key"))
    assert page.request.get(site.url("/v1/searches")).status == 401


def test_a_search_is_posted_from_the_form_and_watched(page, site):
    page.goto(site.url("/new"))
    page.get_by_role("button", name="Small denoiser").click()
    expect(page.get_by_label("Widths")).to_have_value("96, 96, 96")
    page.get_by_label("Widths").fill("24, 0, 24")
    page.get_by_label("Widths").blur()
    expect(page.locator("[id='superstructure.widths-error']")).to_contain_text("greater than or equal to 1")
    page.get_by_role("button", name="Start the search").click()
    expect(page.get_by_role("alert")).to_contain_text("beside the fields")
    expect(page.get_by_label("Widths")).to_be_focused()

    page.get_by_label("Widths").fill("24, 16, 24")
    page.get_by_label("At most").fill("1.5k")
    page.get_by_label("Epochs").first.fill("8")
    for rival in ("flat", "scratch"):
        page.get_by_label(rival).uncheck()
    page.get_by_text("More of it").click()
    page.locator("[id='finetune.epochs']").fill("0")
    page.get_by_label("Name").fill(HOSTILE)
    page.get_by_label("Name").blur()
    estimate = page.get_by_label("Estimate")
    expect(estimate).to_contain_text("1.5k")
    expect(estimate.locator("rect.outline")).to_have_count(5)
    curl = page.get_by_role("region", name="The search as a curl command").inner_text()
    assert '"widths": [24, 16, 24]' in curl
    assert '"parameters": 1500' in curl

    page.get_by_role("button", name="Start the search").click()
    expect(page).to_have_url(re.compile(r"/searches/srch_"))
    expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
    posted = site.service.get(page.url.rpartition("/")[2])
    assert posted["spec"]["superstructure"]["widths"] == [24, 16, 24]
    assert posted["spec"]["compare"] == []
    # All of it without a reload.
    expect(page.locator("#glass-caption")).to_contain_text("neurons are awake", timeout=TRAINED_MS)
    expect(page.locator(".head .state")).to_have_text("succeeded", timeout=TRAINED_MS)
    expect(page.get_by_role("link", name="Download", exact=False).first).to_be_visible()


def test_the_past_can_be_scrubbed_played_and_read_as_a_table(page, site):
    page.goto(site.url(f"/searches/{site.mlp['id']}"))
    slider, caption = page.get_by_label("Epoch", exact=True), page.locator("#glass-caption")
    history = site.service.client.get(f"/v1/searches/{site.mlp['id']}/layers").json()

    def words(epoch):
        return ", ".join(str(layer["active"][epoch - 1]) for layer in history["layers"] if layer["searched"])

    expect(caption).to_contain_text(f"Epoch 6: {sum(map(int, words(6).split(', ')))} of 64")
    slider.focus()
    page.keyboard.press("Home")
    expect(caption).to_contain_text("Epoch 1:")
    expect(caption).to_contain_text(words(1))
    expect(page.locator("#said")).to_have_text(caption.inner_text())
    page.keyboard.press("ArrowRight")
    expect(caption).to_contain_text(words(2))
    heights = page.locator(".glass rect.fill").evaluate_all(
        "bars => bars.map(bar => Number(bar.getAttribute('height')))"
    )
    counts = [layer["active"][1] for layer in history["layers"] if layer["searched"]]
    assert heights == pytest.approx([250 * count / 24 for count in counts])

    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    assert page.locator("#said").inner_text().startswith("Epoch 2:")  # silent while it moves
    expect(page.locator("#said")).to_contain_text("Epoch 6:")

    page.get_by_role("button", name="Architecture: table").click()
    expect(page.get_by_role("row", name=re.compile("hidden2"))).to_contain_text("16")
    page.get_by_role("button", name="Loss: table").click()
    page.get_by_role("button", name="Every layer, every epoch: table").click()
    assert page.get_by_role("table").count() >= 4


def test_a_u_is_a_u_and_its_pictures_get_better(page, site):
    page.goto(site.url(f"/searches/{site.unet['id']}"))
    bars = page.locator(".glass rect.outline")
    expect(bars).to_have_count(8)  # the input, six convolutions, the head
    middles = bars.evaluate_all("all => all.map(bar => bar.y.baseVal.value + bar.height.baseVal.value / 2)")
    top, bottom = middles[0], middles[3]
    assert middles == pytest.approx([top, top, top, bottom, bottom, top, top, top])
    assert bottom > top + 30
    skips = page.locator(".glass .link").evaluate_all(
        "all => all.filter(one => /H/.test(one.getAttribute('d'))).length"
    )
    assert skips == 1

    expect(page.locator("canvas.sample")).to_have_count(24)
    page.get_by_role("button", name="As it trained").click()
    expect(page.get_by_alt_text("Output of 4 validation samples")).to_be_visible()
    page.get_by_label("Epoch", exact=True).focus()
    page.keyboard.press("Home")
    expect(page.locator("b-strips figcaption")).to_contain_text("The network of epoch 1 (search)")
    page.keyboard.press("End")
    expect(page.locator("b-strips figcaption")).to_contain_text("The network of epoch 2 (search)")


def test_a_size_on_the_front_becomes_a_search(page, site):
    page.goto(site.url(f"/searches/{site.mlp['id']}"))
    point = page.locator("b-front .pick").first
    point.focus()
    page.keyboard.press("Enter")
    expect(point).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Train this size on").click()
    expect(page).not_to_have_url(re.compile(site.mlp["id"]))
    begun = site.service.get(page.url.rpartition("/")[2])
    assert begun["spec"]["start"] == {"search": site.mlp["id"], "k": 0}
    site.service.client.post(f"/v1/searches/{begun['id']}/cancel").raise_for_status()
    expect(page.locator(".head .state")).to_have_text("cancelled", timeout=TRAINED_MS)


def test_own_pictures_are_shown_and_a_bad_file_is_refused_beside_itself(page, site):
    images = io.BytesIO()
    dice = np.random.default_rng(1)
    with zipfile.ZipFile(images, "w") as archive:
        for number in range(12):
            file = io.BytesIO()
            Image.fromarray(dice.integers(0, 255, (16, 16), np.uint8)).save(file, "PNG")
            archive.writestr(f"set/{number}.png", file.getvalue())
    page.goto(site.url("/new"))
    chosen = page.get_by_label(re.compile("Or your own"))
    chosen.set_input_files({"name": "broken.npz", "mimeType": "application/zip", "buffer": b"PK\x03\x04 no zip at all"})
    expect(page.locator("#file-said")).to_contain_text("broken.npz was refused:")
    expect(chosen).to_have_attribute("aria-invalid", "true")
    chosen.set_input_files({"name": "<i>mine.zip", "mimeType": "application/zip", "buffer": images.getvalue()})
    expect(page.get_by_alt_text("Sample 8")).to_be_visible()
    expect(page.locator("#file-said")).to_contain_text("12 images of 1 × 16 × 16")
    expect(page.get_by_label("Data set")).to_have_value(re.compile("^dset_"))
    expect(page.locator("#data option:checked")).to_have_text("<i>mine.zip (yours)")
    page.get_by_role("button", name="Hour-glass").click()
    expect(page.get_by_label("Data set")).to_have_value(re.compile("^dset_"))  # a preset takes nobody's data away


def test_two_searches_are_compared_on_one_slider(page, site):
    page.goto(site.url("/"))
    for name in ("Compare tiny U-Net", f"Compare {HOSTILE}"):
        page.get_by_role("checkbox", name=name).last.check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name=re.compile("^A "))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("superstructure.kind"))).to_contain_text("mlp")
    page.get_by_label("Epoch, of both").focus()
    page.keyboard.press("Home")
    expect(page.locator("#words-0")).to_contain_text("Epoch 1:")
    expect(page.locator("#words-1")).to_contain_text("Epoch 1:")
    page.keyboard.press("End")
    expect(page.locator("#words-0")).to_contain_text("Epoch 2:")  # the shorter one stays at its end
    expect(page.locator("#words-1")).to_contain_text("Epoch 6:")
    tall = page.locator("b-glass").evaluate_all("all => all.map(one => one.plan.bars[1].scale)")
    assert tall[0] > 0


def test_architectures_and_filters(page, site):
    page.goto(site.url("/architectures"))
    page.get_by_label("Task and data").select_option("denoise on digits")
    expect(page.locator("b-architectures figcaption")).to_contain_text("; the lowest loss is")
    page.locator("b-architectures .pick").last.press("Enter")
    page.get_by_role("link", name="Its search").click()
    expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
    page.goto(site.url("/?metadata=project%3D%3Cb%3Ex%3C%2Fb%3E"))
    expect(page.get_by_role("link", name=HOSTILE).first).to_be_visible()
    expect(page.get_by_role("link", name="tiny U-Net")).to_have_count(0)


def test_a_lost_connection_shows_and_heals(page, site, endless):
    once = iter(range(10**6))
    page.route("**/layers", lambda route: route.fulfill(status=500) if next(once) == 0 else route.continue_())
    page.goto(site.url(f"/searches/{endless['id']}"))
    lost = page.get_by_text("Connection lost")
    expect(page.locator("#glass-caption")).to_contain_text("neurons are awake", timeout=TRAINED_MS)
    page.context.set_offline(True)
    expect(lost).to_be_visible()
    page.context.set_offline(False)
    expect(lost).to_have_count(0)
    before = page.locator(".facts").inner_text()
    assert site.service.kill("api")  # who supervises it starts it again
    page.wait_for_function("old => document.querySelector('.facts').innerText !== old", arg=before)
    expect(lost).to_have_count(0)


def test_a_search_is_paused_resumed_cancelled_cloned_and_deleted(page, site, endless):
    page.goto(site.url(f"/searches/{endless['id']}"))
    state = page.locator(".head .state")
    expect(state).to_have_text("running", timeout=TRAINED_MS)
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(state).to_have_text("paused", timeout=TRAINED_MS)
    page.get_by_role("button", name="Resume").click()
    expect(state).to_have_text(re.compile("queued|starting|running"))
    page.get_by_role("button", name="Cancel").click()
    expect(state).to_have_text("cancelled", timeout=TRAINED_MS)
    page.get_by_role("button", name="Clone").click()
    expect(page).not_to_have_url(re.compile(endless["id"]))
    clone = page.url.rpartition("/")[2]
    page.get_by_role("button", name="Cancel").click()
    expect(state).to_have_text("cancelled", timeout=TRAINED_MS)
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="Searches")).to_be_visible()
    assert site.service.client.get(f"/v1/searches/{clone}").status_code == 404


def test_the_form_can_draw_all_that_a_search_can_be(page, site):
    page.goto(site.url("/new"))
    expect(page.get_by_role("heading", name="Superstructure")).to_be_visible()
    missing = page.evaluate(
        """async () => {
            const { unsupported } = await import('/static/schema.js');
            const { PRESETS } = await import('/static/presets.js');
            const known = (await (await fetch('/openapi.json')).json()).components.schemas;
            const catalogue = (await (await fetch('/v1/superstructures')).json()).data;
            const wrong = catalogue.flatMap(({ json_schema }) => unsupported(json_schema, json_schema.$defs ?? {}));
            for (const { spec, title } of PRESETS) {
                const answer = await fetch('/v1/searches/estimate', {
                    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(spec) });
                if (!answer.ok) wrong.push(`${title}: ${await answer.text()}`);
            }
            const list = { type: 'array', items: { type: 'object' } };
            const odd = unsupported({ type: 'object', properties: { list } }, {});
            return { wrong: [...wrong, ...unsupported(known.SearchSpec, known)], odd };
        }"""
    )
    assert missing["wrong"] == []
    assert len(missing["odd"]) == 1  # it would say so


def test_numbers_are_written_short_and_shares_never_up_to_all(page, site):
    page.goto(site.url("/new"))
    written = page.evaluate(
        """async () => {
            const { bytes, percent, short, span } = await import('/static/format.js');
            const sizes = [7, 950, 1000, 1500, 60000, 120000, 271543, 1e6, 12345678].map(short);
            const shares = [1, 0.9996, 0.5, 0.051].map(percent);
            return [sizes, [512, 2048, 1024 * 100, 3 * 2 ** 29].map(bytes), shares, [0.2, 75, 600].map(span)];
        }"""
    )
    assert written[0] == ["7", "950", "1k", "1.5k", "60k", "120k", "272k", "1M", "12.3M"]
    assert written[1] == ["512 bytes", "2 KiB", "100 KiB", "1.5 GiB"]
    assert written[2] == ["100 %", "99.9 %", "50 %", "5.1 %"]
    assert written[3] == ["under 1 s", "75 s", "10 min"]


def test_a_hostile_name_is_text_everywhere(page, site):
    for path in ("/", f"/searches/{site.mlp['id']}", f"/compare?a={site.mlp['id']}&b={site.unet['id']}"):
        page.goto(site.url(path))
        expect(page.get_by_text(MLP["name"]).first).to_be_visible()
        assert page.locator("main img[src='x']").count() == 0


def test_no_page_is_wider_than_a_phone(page, site):
    page.set_viewport_size({"width": 390, "height": 800})
    for path in ("/", "/new", f"/searches/{site.mlp['id']}", f"/searches/{site.unet['id']}", "/architectures"):
        page.goto(site.url(path))
        expect(page.get_by_text("Loading…")).to_have_count(0)
        expect(page.get_by_role("heading").first).to_be_visible()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


VIEWS = ("list", "new", "detail", "unet", "failed", "architectures", "compare", "key")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page, site, scheme):
    paths = {
        "list": "/",
        "new": "/new",
        "detail": f"/searches/{site.mlp['id']}",
        "unet": f"/searches/{site.unet['id']}",
        "failed": f"/searches/{site.failed['id']}",
        "architectures": "/architectures",
        "compare": f"/compare?a={site.mlp['id']}&b={site.unet['id']}",
        "key": "/key",
    }
    axe = (Path(__file__).parent / "axe.min.js").read_text()
    page.emulate_media(color_scheme=scheme)
    for view in VIEWS:
        if view == "key":
            page.context.clear_cookies()
        page.goto(site.url(paths[view]))
        expect(page.get_by_text("Loading…")).to_have_count(0)
        if view == "unet":  # tables in place of the pictures
            buttons = page.get_by_role("button", name=re.compile(": table$"))
            while buttons.count():
                buttons.first.click()
        page.evaluate(axe)
        wrong = page.evaluate("async () => (await axe.run()).violations.map(v => [v.id, v.nodes.map(n => n.html)])")
        assert wrong == [], view
