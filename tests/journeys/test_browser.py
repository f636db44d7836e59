"""What a person does and sees: a real browser, the real server, a real worker."""

import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from playwright.sync_api import expect

from app import tasks
from app.health import nightly
from app.models import DICOMFile, Patient, Stage, Status
from app.uploads.status import UploadState, fresh_states
from icon.settings import CDN_SCRIPTS, CDN_STYLES
from tests.conftest import CHROMIUM, chromium, wait_until
from tests.making.objects import ct_image, rt_structure_set, uid, zip_of

AXE = Path(__file__).parents[1] / "vendor" / "axe.min.js"
VENDOR = Path(__file__).parents[2] / "static" / "vendor"


def images(count: int, *, study: int = 1) -> list[bytes]:
    return [
        ct_image(
            StudyInstanceUID=uid(study),
            SeriesInstanceUID=uid(study, 1),
            SOPInstanceUID=uid(study, 1, number),
        )
        for number in range(count)
    ]


def add_upload(page, url: str, path: Path) -> None:
    page.goto(f"{url}/admin/app/dicomfile/add/")
    page.uncheck("#id_process")
    page.set_input_files("#id_file", path)
    page.click("[name=_save]")
    page.wait_for_url("**/admin/app/dicomfile/?these=*")


def test_a_new_user_s_whole_journey(signed_in, live, worker, tmp_path, upload_zip):
    page = signed_in
    page.click("text=Uploads")
    page.click("text=Upload ZIPs")
    page.wait_for_load_state()  # a script takes what is chosen
    path = zip_of(tmp_path / "export.zip", *images(3), ("README.txt", b"hello"))
    page.uncheck("#id_process")
    page.set_input_files("#id_file", path)
    page.click("[name=_save]")
    expect(page.get_by_text("Press Process Now to process it.")).to_be_visible()
    page.get_by_role("button", name=re.compile("Process Now.*export.zip")).click()
    page.wait_for_url("**/dicom/progress/?upload=*")
    card = page.locator("article.upload")
    expect(card.locator("[data-field=status]")).to_have_text("Completed")
    expect(card.locator("[data-outcome=imported]")).to_have_text("3")
    expect(card.locator("[data-outcome=skipped]")).to_have_text("1")
    expect(page).to_have_title("Completed · Progress · ICON")
    card.get_by_role("link", name=re.compile("^Result")).click()
    expect(
        page.get_by_text("3 images of 1 patient were imported; 1 other file was skipped.")
    ).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("README.txt"))).to_contain_text("Not DICOM.")
    a_failing_archive_says_what_to_do(page, live.url, upload_zip(("notes.txt", b"hello")))


def a_failing_archive_says_what_to_do(page, url: str, upload: DICOMFile) -> None:
    tasks.start([upload.pk])
    page.goto(f"{url}/dicom/progress/?upload={upload.pk}")
    expect(page.locator("[data-field=status]")).to_have_text("Failed")
    expect(page.locator("[data-field=message]")).to_contain_text("The ZIP holds no DICOM files.")
    page.get_by_role("link", name=re.compile("^Result")).click()
    expect(page.get_by_role("heading", name=re.compile("Processing failed"))).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("again"))).to_be_hidden()


def test_three_uploads_by_the_bulk_action(signed_in, live, worker, tmp_path, browser):
    page = signed_in
    for number in range(3):
        path = zip_of(tmp_path / f"ct{number}.zip", *images(5, study=number + 1))
        add_upload(page, live.url, path)
    page.goto(f"{live.url}/admin/app/dicomfile/")
    expect(page.locator("button[name=index]")).to_be_disabled()
    page.check("#action-toggle")
    page.select_option("select[name=action]", label="Process selected DICOM files")
    page.click("button[name=index]")
    page.wait_for_url(re.compile(r"progress/\?upload=\d+&upload=\d+&upload=\d+$"))
    expect(page.locator("article.upload")).to_have_count(3)
    for card in page.locator("article.upload").all():
        expect(card.locator("[data-field=status]")).to_have_text("Completed")
    bookmark = page.url
    page.goto(f"{live.url}/admin/")
    page.goto(bookmark)
    expect(page.locator("article.upload")).to_have_count(3)
    expect(page).to_have_title(re.compile("3/3|Progress"))


# Every change of the card, as somebody sees it who never looks away.
WATCH = """() => {
  window.seen = { stages: [], percents: [] };
  document.getElementById("progress").dataset.pollSeconds = "0.2";
  const card = document.querySelector("article.upload");
  const look = () => {
    const current = card.querySelector(".stage-current");
    if (current) seen.stages.push(current.dataset.stage);
    seen.percents.push(Number(card.querySelector("[data-field=percent]").textContent));
  };
  new MutationObserver(look).observe(card, {
    subtree: true, attributes: true, childList: true, characterData: true,
  });
}"""


def test_every_stage_is_seen_and_the_bar_never_falls(signed_in, live, broker, upload_zip):
    page = signed_in
    upload = upload_zip(*images(5_000))
    tasks.start([upload.pk])
    page.goto(f"{live.url}/dicom/progress/?upload={upload.pk}")
    page.evaluate(WATCH)
    with connection.execute_wrapper(waiting_for(page, upload)):
        assert tasks.process_dicom_file_task.apply((upload.pk,)).get()
    expect(page.locator("[data-field=status]")).to_have_text("Completed")
    seen = page.evaluate("seen")
    assert list(dict.fromkeys(seen["stages"])) == [stage.value for stage in Stage]
    assert seen["percents"] == sorted(seen["percents"])
    assert set(seen["percents"]) >= {0, 90, 95, 100}
    assert len(set(seen["percents"])) > 6


def waiting_for(page, upload: DICOMFile) -> Callable[..., Any]:
    """Has what a run writes next wait until a page has shown what was committed before."""

    def is_shown(state: UploadState) -> bool:
        seen = page.evaluate("seen")
        current = {stage.value for stage in state.stages if stage.look == "current"}
        return state.percent in seen["percents"] and current <= {*seen["stages"]}

    def execute_then(execute, sql, *rest):
        if not connection.in_atomic_block and not sql.startswith("SELECT"):
            (state,) = fresh_states(DICOMFile.objects.filter(pk=upload.pk))
            wait_until(lambda: is_shown(state), f"the page to show {state}")
        return execute(sql, *rest)

    return execute_then


def test_a_page_whose_server_was_away_a_reload_a_new_tab_and_a_second_browser_show_the_same(
    signed_in, live, start_worker, slow_upload, browser, console_errors
):
    url = f"{live.url}/dicom/progress/?upload={slow_upload.pk}"
    tasks.start([slow_upload.pk])
    page, reconnects = signed_in, signed_in.context.new_page()
    for one in (reconnects, page):
        one.goto(url)
    live.stop()
    for one in (reconnects, page):
        expect(one.locator("[data-field=connection]")).to_contain_text("econnecting")
    live.start()
    start_worker(ICON_EXTRACTORS="1")
    expect(page.locator("[data-field=status]")).to_have_text("In Progress")
    console_errors.clear()  # the browser told of the connections that it could not make
    page.reload()
    tab = page.context.new_page()
    tab.goto(url)
    tab.close()
    tab = page.context.new_page()
    tab.goto(url)
    second = browser.new_context(storage_state=page.context.storage_state())
    other = second.new_page()
    other.goto(url)
    for one in (reconnects, page, tab, other):
        expect(one.locator("[data-field=status]")).to_have_text("Completed", timeout=60_000)
        expect(one.locator("[data-outcome=imported]")).to_have_text("150")
    expect(reconnects.locator("[data-field=connection]")).to_be_empty()
    second.close()


def test_the_list_of_uploads_keeps_itself_current_and_who_asks_is_notified(
    signed_in, live, start_worker, upload_zip
):
    page, other = signed_in, signed_in.context.new_page()
    good, bad = upload_zip(*images(2)), upload_zip(("notes.txt", b"hello"))
    tasks.start([good.pk, bad.pk])
    ask_to_be_told(other, live.url, good, bad)
    page.goto(f"{live.url}/admin/app/dicomfile/")
    rows = [page.get_by_role("row").filter(has_text=one.name) for one in (good, bad)]
    for row in rows:
        expect(row.locator(".status")).to_have_text(re.compile("^Queued, (1st|2nd)$"))
        expect(row.get_by_role("button", name=re.compile("Stop"))).to_be_visible()
        expect(row.get_by_role("link", name=re.compile("Progress"))).to_be_visible()
    page.get_by_text("Filters").click()
    expect(page.get_by_role("link", name="Needs attention (0)")).to_be_visible()
    start_worker()
    expect(rows[0].locator(".status")).to_have_text("Completed")
    expect(rows[0].locator(".field-files")).to_have_text("2 imported")
    expect(rows[1].locator(".status")).to_have_text("Failed")
    expect(rows[1].get_by_role("button", name=re.compile("again"))).to_be_hidden()
    for row in rows:
        expect(row.get_by_role("link", name=re.compile("Result"))).to_be_visible()
        expect(row.get_by_role("button", name=re.compile("Stop"))).to_be_hidden()
    page.get_by_role("link", name="Needs attention (1)").click()
    expect(page.get_by_text("The ZIP holds no DICOM files.")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text=bad.name)).to_be_visible()
    expect(page.get_by_role("row").filter(has_text=good.name)).to_have_count(0)
    expect(other.locator("[data-field=status]")).to_have_text(["Completed", "Failed"])
    wait_until(lambda: other.evaluate("told.length"), "the notification")
    assert [(title, more["body"]) for title, more in other.evaluate("told")] == [
        ("ICON", "Uploads: 1 completed, 1 failed.")
    ]


def ask_to_be_told(page, url: str, *uploads: DICOMFile) -> None:
    page.context.grant_permissions(["notifications"], origin=url)
    page.add_init_script(
        "window.told = []; const Told = Notification;"
        "window.Notification = class { constructor(...all) { told.push(all); } };"
        "Notification.permission = 'granted';"
        "Notification.requestPermission = () => Told.requestPermission();"
    )
    page.goto(f"{url}/dicom/progress/?{'&'.join(f'upload={one.pk}' for one in uploads)}")
    button = page.get_by_role("button", name="Tell me when done")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("told") == []


def test_who_is_signed_out_meanwhile_is_told_and_offered_the_way_back(signed_in, live, upload_zip):
    page = signed_in
    upload = upload_zip(*images(1))
    tasks.start([upload.pk])
    address = f"{live.url}/dicom/progress/?upload={upload.pk}"
    page.goto(address)
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("link", name="Sign in again").click()
    page.fill("#id_username", "staff")
    page.fill("#id_password", "staff-password")
    page.click("[type=submit]")
    page.wait_for_url(address)


def test_times_are_in_the_reader_s_zone_on_every_page(browser, live, staff_user, import_zip):
    upload = import_zip(*images(1))
    at = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
    DICOMFile.objects.update(created_at=at)
    Patient.objects.update(created_at=at)
    context = browser.new_context(timezone_id="Asia/Kathmandu")  # 5 hours and 45 minutes ahead
    page = context.new_page()
    sign_in(page, live.url)
    patient = Patient.objects.get().pk
    for path in (
        "/admin/app/dicomfile/",
        f"/admin/app/patient/{patient}/change/",
        f"/dicom/result/{upload.pk}/",
        f"/dicom/progress/?upload={upload.pk}",
    ):
        page.goto(live.url + path)
        assert "2 Jul 2026, 04:15" in page.locator("body").inner_text(), path
    context.close()


def test_the_keyboard_alone_is_enough(page, live, staff_user, worker, tmp_path, media_root):
    page.goto(f"{live.url}/admin/login/?next=/admin/app/dicomfile/")
    expect(page.locator("#id_username")).to_be_focused()
    page.keyboard.type("staff")
    page.keyboard.press("Tab")
    page.keyboard.type("staff-password")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live.url}/admin/app/dicomfile/")
    press(page, page.get_by_role("link", name="Upload ZIPs").first)
    page.wait_for_url("**/add/")
    with page.expect_file_chooser() as chooser:
        press(page, page.locator("#id_file"), key="Space")
    chooser.value.set_files(zip_of(tmp_path / "scan.zip", *images(2)))
    press(page, page.get_by_label("Process as soon"), key="Space")
    press(page, page.get_by_role("button", name="Upload"))
    page.wait_for_url("**/admin/app/dicomfile/?these=*")
    press(page, page.get_by_role("button", name=re.compile("Process Now")))
    page.wait_for_url("**/dicom/progress/?upload=*")
    expect(page.locator("[data-field=status]")).to_have_text("Completed")
    press(page, page.get_by_role("link", name=re.compile("^Result")))
    page.wait_for_url("**/dicom/result/*/")
    press(page, page.get_by_role("link", name=re.compile("Imported")))
    page.wait_for_url("**outcome=imported*")


def press(page, wanted, key: str = "Enter") -> None:
    """Press Tab until something has the focus, then a key."""
    for _ in range(60):
        if wanted.evaluate("element => element === document.activeElement"):
            page.keyboard.press(key)
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{wanted} is not reached by the keyboard")


def test_a_tab_that_nobody_looks_at_asks_seldom(signed_in, live, upload_zip):
    page = signed_in
    upload = upload_zip(*images(1))
    tasks.start([upload.pk])
    page.clock.install()
    page.goto(f"{live.url}/dicom/progress/?upload={upload.pk}")
    asked = []
    page.on("request", lambda request: "/dicom/status/" in request.url and asked.append(request))
    # Time passes on the page as it is told from here on.
    page.clock.pause_at(page.evaluate("Date.now()") + 600_000)
    wait_until(lambda: page.clock.run_for(1_000) or len(asked) > 1, "two questions")
    show_tab(page, hidden=True)
    asked.clear()
    for _ in range(60):
        page.clock.run_for(1_000)
    assert len(asked) <= 60 / 15 + 1  # one more may have been on its way
    asked.clear()

    def look() -> None:
        show_tab(page, hidden=False)
        page.wait_for_timeout(50)  # the browser goes on meanwhile

    wait_until(lambda: look() or asked, "a question at once")


def show_tab(page, hidden: bool) -> None:
    page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{ value: {str(hidden).lower()}, "
        "configurable: true }); document.dispatchEvent(new Event('visibilitychange'))"
    )


def test_the_pages_make_sense_without_scripts(browser, live, staff_user, import_zip, upload_zip):
    done, waiting = import_zip(*images(2)), upload_zip(*images(1, study=2))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, live.url)
    page.goto(f"{live.url}/dicom/result/{waiting.pk}/")
    page.get_by_role("button", name=re.compile("Process Now")).click()
    page.goto(f"{live.url}/dicom/progress/?upload={done.pk}&upload={waiting.pk}")
    assert page.locator("[data-field=status]").all_inner_texts() == ["Completed", "Queued"]
    assert page.locator("noscript progress").count() == 2
    assert page.locator("head meta[http-equiv=refresh]").count() == 1
    context.close()


# Bootstrap from the CDN, and without it


def colour_of_a_button(page) -> str:
    return page.evaluate(
        "getComputedStyle(document.querySelector('.btn-outline-secondary')).borderTopLeftRadius"
    )


def sign_in(page, url: str) -> None:
    page.goto(f"{url}/admin/login/")
    page.fill("#id_username", "staff")
    page.fill("#id_password", "staff-password")
    page.click("[type=submit]")
    page.wait_for_url(f"{url}/admin/")


def local_copy(url: str) -> Path:
    return next(VENDOR.rglob(url.partition("?")[0].rpartition("/")[2]))


@pytest.mark.parametrize("reachable", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_page_is_dressed_with_and_without_the_cdn(
    reachable, page, staff_user, start_live, console_errors
):
    asked = []

    def answer(route):
        asked.append(route.request.url)
        if not reachable:
            return route.abort()
        return route.fulfill(
            path=local_copy(route.request.url), headers={"Access-Control-Allow-Origin": "*"}
        )

    page.route("https://cdn.jsdelivr.net/**", answer)
    live = start_live(ICON_CDN="1")
    sign_in(page, live.url)
    page.goto(f"{live.url}/dicom/progress/")
    wait_until(lambda: colour_of_a_button(page) != "0px", "Bootstrap's look")
    assert set(asked) >= {*CDN_STYLES[:1], *CDN_SCRIPTS}
    if not reachable:
        console_errors.clear()  # the browser told of what it could not load


PAINTED = "performance.getEntriesByName('first-contentful-paint')"


def test_a_network_that_swallows_what_is_sent_to_the_cdn_delays_no_page(browser, live, staff_user):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        swallowed = f"MAP cdn.jsdelivr.net 127.0.0.1:{silent.getsockname()[1]}"
        other = browser.browser_type.launch(
            executable_path=chromium(), args=[*CHROMIUM, f"--host-resolver-rules={swallowed}"]
        )
        page = other.new_page()
        sign_in(page, live.url)
        for path in ("/admin/", "/admin/app/dicomfile/", "/dicom/progress/"):
            page.goto(live.url + path)
            painted = wait_until(lambda: page.evaluate(PAINTED), "the first paint")
            assert painted[0]["startTime"] < 5_000, path  # milliseconds; the CDN would take 30 s
        assert colour_of_a_button(page) != "0px"
        other.close()
        with pytest.raises(BlockingIOError):  # nobody has knocked
            silent.accept()


# Two people under one ID


def test_an_id_that_came_with_another_name_is_one_person_until_a_third_comes(
    signed_in, live, import_zip, console_errors
):
    page, uploads = signed_in, f"{live.url}/admin/app/dicomfile/?tab=attention"
    import_zip(ct_image())
    second = import_zip(ct_image(PatientName="Someone^Else", SOPInstanceUID=uid(9, 2)))
    page.goto(uploads)
    row = page.locator("#result_list tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Completed, needs attention")
    row.get_by_role("link", name=re.compile("Result")).click()
    card = page.get_by_role("region", name=re.compile("Two people"))
    expect(card.get_by_role("row", name=re.compile("^Name"))).to_have_text(
        re.compile(r"Nemo.*Someone, Else\s*differs", re.DOTALL)
    )
    expect(card.get_by_role("button", name="Yes, one person")).to_be_hidden()
    card.get_by_text("One person", exact=True).click()
    assert serious_findings(page) == []
    console_errors.clear()
    card.get_by_role("button", name="Yes, one person").click()
    page.wait_for_url(f"**/dicom/result/{second.pk}/")
    expect(page.get_by_text("One person, says staff")).to_be_visible()
    expect(page.locator(".status-completed")).to_have_text("Completed")
    page.goto(uploads)
    expect(row).to_have_count(0)
    import_zip(ct_image(PatientName="Third^One", SOPInstanceUID=uid(9, 3)))
    page.goto(uploads)
    expect(row).to_have_count(1)
    page.goto(f"{live.url}/admin/app/patient/{Patient.objects.get().pk}/change/")
    card.get_by_text("Two people", exact=True).click()
    card.get_by_role("button", name="Yes, two people").click()
    page.goto(f"{live.url}/admin/app/dicomstudy/?patient__id__exact={Patient.objects.get().pk}")
    expect(page.get_by_text("Two people share this patient's ID.")).to_be_visible()


# For everybody


STAND_STILL = """Promise.allSettled(
    document.getAnimations()
        .filter((one) => one instanceof CSSTransition)
        .map((one) => one.finished)
)"""


def serious_findings(page) -> list[str]:
    page.wait_for_load_state()
    # The strict policy lets no script in but ICON's own, so axe runs through the debugger.
    page.evaluate(AXE.read_text())
    # In mid-transition a colour is neither the one nor the other.
    page.evaluate(STAND_STILL)
    found = page.evaluate(
        "axe.run({ resultTypes: ['violations'] }).then(result => result.violations)"
    )
    return [
        f"{page.url}: {one['id']}: {one['nodes'][0]['html']}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def every_page(imported: DICOMFile) -> list[str]:
    """The address of every kind of page, of rows that one import brought."""
    paths = [f"/dicom/progress/?upload={imported.pk}", "/dicom/progress/"]
    several = "&".join(f"upload={pk}" for pk in DICOMFile.objects.values_list("pk", flat=True))
    paths += [f"/dicom/progress/?{several}", "/admin/app/dicomfile/process-pending/"]
    paths += ["/admin/app/dicomfile/?tab=attention"]
    paths += [f"/dicom/{page}/{imported.pk}/" for page in ("result", "use-versions")]
    paths += ["/admin/", "/admin/app/", "/admin/password_change/", "/admin/app/dicomfile/add/"]
    paths += ["/admin/app/dicomfile/?q=0&processing_status__exact=pending"]
    paths += ["/admin/auth/user/add/", "/admin/auth/group/add/"]
    for model in admin.site._registry:
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        rows = [f"{address}{pk}/" for pk in model.objects.values_list("pk", flat=True)[:1]]
        typed_in = model._meta.model_name in ("dicomfile", "user", "group")
        pages = ("change", "history") if typed_in else ("change",)
        paths += [address, *(f"{row}{page}/" for row in rows for page in pages)]
    catalogue = ("dicomfile", "patient", "dicomstudy", "dicomseries", "dicominstance")
    for name in catalogue:
        pk = apps.get_model("app", name).objects.order_by("pk")[0].pk
        paths.append(f"/admin/app/{name}/{pk}/delete/")
    return paths


HOSTILE = "<img src=x onerror=alert(1)>\u202e{{7*7}}\U0001f600" + 60 * "W"
SHORT = HOSTILE[:60]  # what an attribute holds


@pytest.fixture
def a_bit_of_everything(import_zip, django_user_model) -> DICOMFile:
    """An upload with every outcome, and rows in every table of the catalogue: of hostile text."""
    names = ("PatientName", "PatientID", "StudyDescription", "SeriesDescription")
    bad = dict.fromkeys(names, SHORT) | {"SpecificCharacterSet": "ISO_IR 192", "charset": "utf-8"}
    structures = rt_structure_set([SHORT], StructureSetLabel="<b>", **bad)
    import_zip(ct_image(**bad), structures)
    nightly.begin()
    nightly.go_on()
    upload = import_zip(
        (f"{HOSTILE}.dcm", ct_image(**bad, WindowCenter="1")),
        structures,
        ct_image(**bad, StudyDate="soon", SOPInstanceUID=uid(7)),
        (f"{HOSTILE}/{HOSTILE}/IM", ct_image(**bad, SOPInstanceUID=uid(8))),
        ct_image(**bad | {"PatientName": "Someone^Else"}, SOPInstanceUID=uid(9)),
        ct_image(**bad, StudyInstanceUID=None),
        (f"{HOSTILE}.txt", b"hello"),
    )
    DICOMFile.objects.update(original_name=3 * HOSTILE)
    django_user_model.objects.create_user(f"{SHORT}@x")
    return upload


@pytest.mark.parametrize(
    ("width", "colours"),
    [
        (390, "light"),
        pytest.param(1280, "dark", marks=pytest.mark.long),
        pytest.param(390, "dark", marks=pytest.mark.long),
        pytest.param(1280, "light", marks=pytest.mark.long),
    ],
)
def test_every_page_fits_shows_text_as_text_complains_of_nothing_and_is_accessible(
    width, colours, page, live, staff_user, import_zip, a_bit_of_everything, console_errors
):
    dialogs = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message) or dialog.dismiss())
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=colours)
    page.goto(f"{live.url}/admin/login/")
    found = serious_findings(page)
    leave_out_styles(console_errors)
    sign_in(page, live.url)
    failed = import_zip(("a.txt", b"x"))
    assert failed.processing_status == Status.FAILED
    paths = [*every_page(a_bit_of_everything), f"/dicom/result/{failed.pk}/"]
    assert len(paths) > 40
    for path in paths:
        assert page.goto(live.url + path).ok, path
        page.wait_for_load_state()
        assert console_errors == [], path
        assert page.locator("img[src=x], td b").count() == 0, path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        found += serious_findings(page)
        leave_out_styles(console_errors)
    page.goto(f"{live.url}/dicom/result/{a_bit_of_everything.pk}/")
    assert page.locator(".tree").inner_text().count("{{7*7}}") == 4
    assert "\u202e" not in page.locator(".tree").inner_text()
    page.goto(f"{live.url}/dicom/nowhere/")
    found += serious_findings(page)
    assert "\n".join(found) == ""
    assert dialogs == []
    console_errors.clear()  # the browser told of the page that is not there


def leave_out_styles(console_errors: list[str]) -> None:
    """Axe marks what it looks at with styles, which the policy blocks."""
    console_errors[:] = [one for one in console_errors if "inline style" not in one]
