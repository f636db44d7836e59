"""Whole first days: of a radiographer, and of an administrator who adds a colleague of each role.

Each is one browser window, in which one person after the other signs in.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect

from app.accounts import roles
from app.models import DICOMFile, Patient
from tests.making.objects import ct_image, uid, zip_of

from .test_browser import serious_findings

USERS = "/admin/auth/user/"
UPLOADS = "/admin/app/dicomfile/"
TRAIL = "/admin/app/auditentry/"
OWN = "a password of my own 7"
NOT_HERS = ("Use these versions", "Remove kept ZIPs", "Delete", "Yes, one person")


@dataclass
class Window:
    """A browser window in which people do their work; what its console says is an error."""

    page: Page
    url: str
    errors: list[str]

    def go(self, path: str) -> None:
        assert self.page.goto(self.url + path).ok, path

    def is_sound(self) -> None:
        """No complaint in the console, and none of axe's, once all of the page is there."""
        self.page.wait_for_load_state()
        assert self.errors == [], self.page.url
        assert serious_findings(self.page) == []
        self.errors.clear()  # axe marks what it looks at with styles, which the policy blocks

    def is_refused(self, path: str, words: str) -> None:
        """A page that says who may."""
        assert self.page.goto(self.url + path).status == 403, path
        expect(self.page.get_by_role("heading", name="Not allowed")).to_be_visible()
        expect(self.page.locator("main")).to_contain_text(words)
        assert [one for one in self.errors if "403" not in one] == []
        self.errors.clear()  # the browser tells of each page that is refused

    def sign_in(self, name: str, password: str) -> None:
        self.go("/admin/login/")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def sign_in_first(self, name: str, first: str) -> None:
        """With the password that an administrator was shown, which is changed before all else."""
        self.sign_in(name, first)
        expect(self.page.get_by_role("heading", level=1)).to_have_text(
            "Choose a password of your own first"
        )
        self.is_sound()
        self.page.get_by_label("Old password").fill(first)
        self.page.get_by_label("New password", exact=False).first.fill(OWN)
        self.page.get_by_label("New password confirmation").fill(OWN)
        self.page.get_by_role("button", name="Change my password").click()
        expect(self.page.get_by_text("Your password was changed.")).to_be_visible()
        self.page.get_by_role("link", name="ICON", exact=True).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Home")
        self.is_sound()

    def open_menu(self) -> None:
        self.page.locator("details.site-wide summary").click()

    def sign_out(self) -> None:
        self.open_menu()
        self.page.get_by_role("button", name="Sign out").click()
        expect(self.page.get_by_text("You are signed out.")).to_be_visible()

    def add_colleague(self, name: str, role: str) -> str:
        """As an administrator does; the first password."""
        self.go(f"{USERS}add/")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_role("radio", name=re.compile(f"^{role} ")).check()
        self.page.get_by_role("button", name="Save").click()
        expect(self.page.get_by_text(f"“{name}” may sign in as {role}")).to_be_visible()
        return self.page.locator(".first-password").inner_text()


@pytest.fixture
def window(live, page, console_errors) -> Window:
    return Window(page, live.url, console_errors)


@pytest.fixture
def chief(transactional_db):
    """An Administrator, who is no superuser."""
    user = get_user_model().objects.create_user("chief", password=OWN, is_staff=True)
    roles.give(user, "Administrator")
    return user


@pytest.mark.long
def test_a_radiographer_finds_what_failed_and_is_told_nothing_that_she_may_not_do(
    window, chief, worker, import_zip, tmp_path
):
    page = window.page
    import_zip(ct_image())
    conflicts = import_zip(ct_image(PatientPosition="FFS"))

    window.go("/admin/login/")
    window.is_sound()
    window.sign_in("chief", OWN)
    first = window.add_colleague("ulla", "Uploader")
    window.is_sound()
    window.sign_out()
    window.is_sound()
    window.sign_in_first("ulla", first)

    # She sends a ZIP from the first page, and watches it.
    path = zip_of(
        tmp_path / "export.zip",
        *(ct_image(SOPInstanceUID=uid(2, 1, number)) for number in (2, 3)),
        ("broken.dcm", ct_image(StudyInstanceUID=None)),
        ("other.dcm", ct_image(PatientPosition="FFP")),
    )
    page.set_input_files("#id_file", path)
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/dicom/progress/?upload=*")
    card = page.locator("article.upload")
    expect(card.locator("[data-field=status]")).to_have_text("Completed, needs attention")
    for outcome, count in (("imported", "2"), ("conflict", "1"), ("failed", "1")):
        expect(card.locator(f"[data-outcome={outcome}]")).to_have_text(count)
    tells_nothing_to_press(window)

    # What failed comes first on the result, with its reason and what to do.
    card.get_by_role("link", name=re.compile("^Result")).click()
    expect(page.locator("main h2").first).to_have_text(re.compile("1 file could not be stored"))
    problem = page.locator(".problems li")
    expect(problem).to_contain_text("Study Instance UID is missing")
    expect(problem).to_contain_text("Export it again from the system it came from.")
    expect(page.locator(".ledger tbody tr").first).to_contain_text("broken.dcm")
    tells_nothing_to_press(window)
    result = page.url.removeprefix(window.url)
    problem.get_by_role("link").click()
    expect(page.locator(".ledger tbody tr")).to_have_count(1)
    expect(page.locator(".ledger tbody tr")).to_contain_text("broken.dcm")

    # Whose versions stay is for others to say; she may look at what differs.
    window.go(result)
    page.get_by_role("link", name="See what differs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What differs")
    expect(page.locator("main")).to_contain_text("Patient Position")
    expect(page.locator("main")).to_contain_text("A Manager decides which versions stay.")
    expect(page.locator("main").get_by_role("button")).to_have_count(0)
    tells_nothing_to_press(window)
    window.go(f"/dicom/result/{conflicts.pk}/")
    expect(page.get_by_role("heading", name="Needs a decision")).to_be_visible()
    tells_nothing_to_press(window)
    for address in (UPLOADS, f"{UPLOADS}?tab=attention"):
        window.go(address)
        expect(page.get_by_role("row").filter(has_text="export.zip")).to_be_visible()
        tells_nothing_to_press(window)
    upload = re.search("[0-9]+", result)[0]
    window.is_refused(f"{UPLOADS}{upload}/delete/", "allowed to delete uploads: role Manager")
    assert DICOMFile.objects.filter(pk=upload).exists()


def tells_nothing_to_press(window: Window) -> None:
    """The page offers and names nothing that an Uploader may not do, not even folded away."""
    window.is_sound()
    said = window.page.locator("body").text_content()
    assert [one for one in NOT_HERS if one in said] == [], window.page.url


COLLEAGUES = {"Reader": "rita", "Uploader": "ulla", "Manager": "mona", "Administrator": "adam"}


class Uploads(NamedTuple):
    waiting: DICOMFile
    mistaken: DICOMFile  # nobody wanted it
    conflicts: DICOMFile  # all of it is catalogued with other content


def may(role: str, needed: str) -> bool:
    return roles.NAMES.index(role) >= roles.NAMES.index(needed)


@pytest.mark.long
def test_an_administrator_sees_what_a_colleague_of_each_role_may_do_and_did(
    window, chief, staff_user, broker, import_zip, upload_zip
):
    page = window.page
    import_zip(ct_image())
    conflicts = import_zip(ct_image(PatientPosition="FFS"))
    waiting, mistaken = (upload_zip(ct_image(SOPInstanceUID=uid(9, one))) for one in (1, 2))
    uploads = Uploads(waiting, mistaken, conflicts)

    window.sign_in("chief", OWN)
    firsts = {role: window.add_colleague(name, role) for role, name in COLLEAGUES.items()}
    window.sign_out()
    window.sign_in("rita", "not her password")
    expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
    for role, first in firsts.items():
        window.sign_in_first(COLLEAGUES[role], first)
        finds_the_pages_of(role, window, uploads)
        finds_the_buttons_of(role, window, uploads)
        ACTS[role](window, uploads)
        window.sign_out()

    window.sign_in("chief", OWN)
    window.open_menu()
    page.get_by_role("link", name="Administration").click()
    page.get_by_role("link", name="Audit entries").click()
    window.is_sound()
    rows = page.locator("#result_list tbody tr")
    told = [
        [rows.nth(n).locator(f".field-{one}").inner_text() for one in ("by", "what", "words")]
        for n in reversed(range(rows.count()))
    ]
    assert [(who, what) for who, what, _ in told if who != "ICON"] == [
        ("chief", "Signed in"),
        *4 * [("chief", "Added"), ("chief", "Rights changed")],
        ("chief", "Signed out"),
        ("rita", "Sign-in failed"),
        *whole_day("rita"),
        *whole_day("ulla", "Processing asked for", "Stop asked for"),
        *whole_day("mona", "Deleted"),
        *whole_day("adam", "Changed", "Rights changed"),
        ("chief", "Signed in"),
    ]
    for words in ("Reason: Sent by mistake", "rita; given: role Uploader; taken: role Reader"):
        assert [one for *_, one in told if words in one] != []


def whole_day(name: str, *acts: str) -> list[tuple[str, str]]:
    """What the trail tells of who signs in for the first time."""
    return [(name, act) for act in ("Signed in", "Password changed", *acts, "Signed out")]


def finds_the_pages_of(role: str, window: Window, uploads: Uploads) -> None:
    """Each page opens, or says which role it needs."""
    patient = Patient.objects.get().pk
    for path, ability, needed in (
        (f"/admin/app/patient/{patient}/change/", "see patients", "Reader"),
        (f"{UPLOADS}add/", "upload ZIPs", "Uploader"),
        (f"{UPLOADS}process-pending/", "start and stop uploads", "Uploader"),
        (f"{UPLOADS}{uploads.waiting.pk}/delete/", "delete uploads", "Manager"),
        (f"/admin/app/patient/{patient}/delete/", "delete patients", "Manager"),
        (f"{USERS}add/", "add colleagues", "Administrator"),
        (TRAIL, "see the audit trail", "Administrator"),
    ):
        if may(role, needed):
            window.go(path)
            window.is_sound()
        else:
            window.is_refused(path, ability)
            expect(window.page.locator("main")).to_contain_text(f"role {needed}.")
    window.is_refused("/admin/auth/group/", "Ask the administrator for the permission.")
    window.is_sound()


def finds_the_buttons_of(role: str, window: Window, uploads: Uploads) -> None:
    page, starts, manages = window.page, may(role, "Uploader"), may(role, "Manager")
    window.go("/admin/")
    expect(page.get_by_role("region", name="Upload ZIPs")).to_have_count(int(starts))
    window.go("/dicom/progress/")
    expect(page.get_by_text("and press Process Now")).to_have_count(int(starts))
    window.is_sound()
    window.go(UPLOADS)
    row = page.get_by_role("row").filter(has_text=uploads.waiting.name)
    expect(row.get_by_role("button", name=re.compile("^Process Now"))).to_have_count(int(starts))
    offered = page.locator("select[name=action] option:not([value=''])").all_inner_texts()
    assert offered == [
        *starts * ["Process selected DICOM files", "Stop selected uploads"],
        *manages * ["Remove kept ZIPs", "Delete selected uploads"],
    ]
    window.is_sound()
    window.go(f"/dicom/result/{uploads.waiting.pk}/")
    start = page.get_by_role("button", name=re.compile("^Process Now"))
    expect(start).to_have_count(int(starts))
    expect(page.get_by_text("Delete this upload…")).to_have_count(int(manages))
    window.is_sound()
    window.go(f"/dicom/use-versions/{uploads.conflicts.pk}/")
    expect(page.get_by_role("button", name="Yes, use these versions")).to_have_count(int(manages))
    expect(page.get_by_text("A Manager decides")).to_have_count(int(not manages))
    window.is_sound()
    window.open_menu()
    page.get_by_role("link", name="Administration").click()
    for table in ("Users", "Audit entries", "Task results"):
        links = page.locator("main").get_by_role("link", name=table, exact=True)
        expect(links).to_have_count(int(may(role, "Administrator")))
    window.is_sound()


def looks_only(window: Window, uploads: Uploads) -> None:
    pass


def starts_and_stops(window: Window, uploads: Uploads) -> None:
    page = window.page
    window.go(f"/dicom/result/{uploads.waiting.pk}/")
    page.get_by_role("button", name=re.compile("^Process Now")).click()
    expect(page.locator("[data-field=status]")).to_have_text(re.compile("^Queued"))
    window.is_sound()
    page.get_by_role("button", name=re.compile("^Stop")).click()
    expect(page.get_by_text("Taken out of the queue.")).to_be_visible()
    expect(page.locator("[data-field=status]")).to_have_text("Stopped")


def deletes(window: Window, uploads: Uploads) -> None:
    page = window.page
    window.go(f"/dicom/result/{uploads.mistaken.pk}/")
    page.get_by_text("More", exact=True).click()
    page.get_by_role("link", name="Delete this upload…").click()
    page.get_by_label("Why?").fill("Sent by mistake")
    page.get_by_role("button", name="Yes, delete it").click()
    expect(page.get_by_text(f"“{uploads.mistaken.name}” was deleted.")).to_be_visible()


def changes_a_role_but_not_her_own(window: Window, uploads: Uploads) -> None:
    page = window.page
    window.go(USERS)
    names = page.locator("#result_list .field-username")
    expect(names).to_have_text(["adam", "chief", "mona", "rita", "ulla"])  # and no superuser
    window.is_sound()
    names.get_by_role("link", name="adam").click()
    expect(page.get_by_role("radio")).to_have_count(0)
    window.go(USERS)
    names.get_by_role("link", name="rita").click()
    page.get_by_role("radio", name=re.compile("^Uploader ")).check()
    window.is_sound()
    page.get_by_role("button", name="Save", exact=True).click()
    row = page.get_by_role("row").filter(has_text="rita")
    expect(row.locator(".field-role")).to_have_text("Uploader")


ACTS = {
    "Reader": looks_only,
    "Uploader": starts_and_stops,
    "Manager": deletes,
    "Administrator": changes_a_role_but_not_her_own,
}
