"""Whether a series is complete: from the ZIP to the pages."""

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db.models import F
from django.urls import reverse

from app.catalogue import below, completeness, incomplete, removal
from app.derived import making
from app.models import (
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Patient,
    SeriesCompleteness,
    Verdict,
)
from app.reasons import sentence
from tests.catalogue.test_pages import AXIAL, add, address, words
from tests.making.objects import ct_image, enhanced_ct, mr_image, secondary_capture, uid

pytestmark = pytest.mark.django_db


def slices(count: int, made=ct_image, without=(), series=1, **keywords) -> list[bytes]:
    """The images of a series, 3 mm apart."""
    return [
        made(
            SeriesInstanceUID=uid(2, series),
            SOPInstanceUID=uid(2, series, at),
            InstanceNumber=at,
            ImagePositionPatient=[0, 0, at * 3],
            **keywords,
        )
        for at in range(1, count + 1)
        if at not in without
    ]


@pytest.fixture
def series(db) -> DICOMSeries:
    """A series of 20 images, but for the ninth; made as rows alone."""
    study = DICOMStudy.objects.create(
        patient=Patient.objects.create(folder="x"), study_instance_uid="1", study_description="Head"
    )
    series = DICOMSeries.objects.create(
        dicom_study=study, series_instance_uid="2", image_count=19, instance_count=19
    )
    for at in range(1, 21):
        if at != 9:
            add(series, [0, 0, at * 3], at, plane=AXIAL)
    return series


def make_all() -> None:
    for pk in making.lacking(completeness.KIND):
        assert making.make(completeness.KIND, pk)


def made() -> SeriesCompleteness:
    make_all()
    return completeness.KEPT.current().get()


# --- what is kept ----------------------------------------------------------------------------


def test_every_change_of_a_series_is_seen(import_zip, settings):
    settings.ICON_ON_CONFLICT = "replace"
    import_zip(*slices(20, without=(9,)))
    assert made().verdict == Verdict.INCOMPLETE
    assert completeness.KIND.numbers() == (1, 0, 0)
    import_zip(*slices(20))  # one more
    assert completeness.KIND.numbers() == (0, 1, 0)
    assert made().verdict == Verdict.COMPLETE
    fifth = {"SeriesInstanceUID": uid(2, 1), "SOPInstanceUID": uid(2, 1, 5), "InstanceNumber": 5}
    import_zip(ct_image(**fifth, ImagePositionPatient=[0, 0, 12]))  # where the fourth lies
    found = made().found
    assert (found["gap_count"], found["double_count"]) == (1, 1)
    removal.delete(DICOMInstance.objects.get(instance_number=5))
    assert not completeness.KEPT.current().exists()
    found = made().found
    assert (found["gap_count"], found.get("double_count", 0)) == (1, 0)
    DICOMInstance.objects.update(read_version=0)
    call_command("reread")
    assert completeness.KIND.numbers() == (0, 1, 0)
    removal.delete(DICOMSeries.objects.get())
    assert not SeriesCompleteness.objects.exists()


def test_what_an_older_version_found_is_found_anew(series):
    make_all()
    SeriesCompleteness.objects.update(version=completeness.VERSION - 1)
    assert completeness.KIND.numbers() == (0, 1, 0)
    assert not completeness.incomplete().exists()
    assert made().verdict == Verdict.INCOMPLETE


def test_a_series_that_changes_while_it_is_looked_at_is_looked_at_again(series, monkeypatch):
    look_at = completeness.look_at

    def while_an_import_commits(*asked):
        DICOMSeries.objects.update(changes=F("changes") + 1)
        return look_at(*asked)

    with monkeypatch.context() as change:
        change.setattr(completeness, "look_at", while_an_import_commits)
        completeness.make(series.pk)
    assert completeness.KIND.numbers() == (0, 1, 0)


def test_a_series_that_cannot_be_made_is_counted_and_passed_over(series, staff_client, caplog):
    broken = DICOMSeries.objects.create(
        dicom_study=series.dicom_study, series_instance_uid="3", image_count=1
    )
    add(broken, [0, 0, 0], 1, frame_planes="{")
    assert "not yet looked at" in words(staff_client.get(address(broken)).content.decode())
    done = [making.make(completeness.KIND, pk) for pk in making.lacking(completeness.KIND)]
    assert done == [True, False]
    assert completeness.KIND.numbers() == (1, 0, 1)
    assert f"completeness {broken.pk} cannot be made" in caplog.text
    said = words(staff_client.get(address(broken)).content.decode())
    assert f"cannot be told {sentence('not_told')}" in said
    making.make(completeness.KIND, 0)  # one that was deleted meanwhile
    assert completeness.KIND.numbers() == (1, 0, 1)


# --- the pages -------------------------------------------------------------------------------


def test_a_gap_is_told_on_the_pages_of_study_and_series(series, staff_client, monkeypatch):
    monkeypatch.setattr(below, "OBJECTS", 5)
    after = DICOMInstance.objects.get(instance_number=8)
    page = staff_client.get(address(series.dicom_study)).content.decode()
    place = f"{address(series)}?at={after.pk}#object-{after.pk}"
    assert f'<a class="flag" href="{place}">1 gap</a>' in page
    shown = staff_client.get(place.partition("#")[0])
    page = shown.content.decode()
    said = words(page)
    assert "Between no. 8 (24 mm) and no. 10 (30 mm), 1 slice of 3 mm is missing." in said
    assert "Instance number 9 is missing." in said
    assert "1 slice missing behind it" in said
    assert '<details class="objects" id="objects" open>' in page
    assert f'id="object-{after.pk}" class="marked"' in page
    assert [one[0].instance_number for one in shown.context["objects"]] == [6, 7, 8, 10, 11]
    for asked in ({"at": 0}, {"at": "x"}):
        others = staff_client.get(address(series), asked).context["objects"]
        assert others[0][0].instance_number == 1
    monkeypatch.setattr(below, "LONGEST_SORTED", 0)
    shown = staff_client.get(place.partition("#")[0])
    assert [one[0].instance_number for one in shown.context["objects"]] == [8, 10, 11, 12, 13]


def test_a_series_that_cannot_be_looked_at_at_once_says_so(series, staff_client, monkeypatch):
    addresses = [address(series.dicom_study), address(series)]
    for limit, value in (("AT_ONCE", 18), ("SECONDS", -1)):
        with monkeypatch.context() as change:
            change.setattr(completeness, limit, value)
            for one in addresses:
                page = staff_client.get(one).content.decode()
                assert "not yet looked at" in words(page), limit
                assert sentence("not_looked_at") in page
    assert not SeriesCompleteness.objects.exists()  # a page writes nothing
    make_all()
    monkeypatch.setattr(completeness, "SECONDS", -1)
    for one in addresses:
        assert "1 gap" in words(staff_client.get(one).content.decode())


def test_studies_with_incomplete_series_are_listed(series, staff_client, client, django_user_model):
    whole = DICOMStudy.objects.create(
        patient=Patient.objects.create(folder="y", unique_patient_id="ID2"),
        study_instance_uid="3",
        study_description="Whole",
    )
    three = DICOMSeries.objects.create(dicom_study=whole, series_instance_uid="4", image_count=3)
    for at in range(3):
        add(three, [0, 0, at], at, plane=AXIAL)
    lists = [reverse("study_list"), reverse("patient_list")]
    for one in lists:
        assert "is all of this" in staff_client.get(f"{one}?slices=incomplete").content.decode()
    make_all()
    assert staff_client.get(lists[0]).content.decode().count(">incomplete series</a>") == 1
    for one, noun in zip(lists, ("study", "patient"), strict=True):
        said = words(staff_client.get(f"{one}?slices=incomplete").content.decode())
        assert f"1 {noun}" in said
        assert not {"Whole", "ID2"} & {*said.split()}
    user = django_user_model.objects.create_user("looker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_dicomstudy"))
    client.force_login(user)
    said = words(client.get(f"{lists[0]}?slices=incomplete").content.decode())
    assert "Whole" in said  # nothing is told to who may not see series
    assert "ncomplete" not in said


def test_incomplete_series_are_listed_with_what_they_lack(
    series, staff_client, client, django_user_model, django_assert_num_queries, monkeypatch
):
    page = reverse("incomplete_list")
    assert sentence("no_incomplete_series") in words(staff_client.get(page).content.decode())
    other = DICOMSeries.objects.create(
        dicom_study=series.dicom_study, series_instance_uid="3", image_count=19, modality="MR"
    )
    for at in (*range(1, 21), 20):
        if at != 4:
            add(other, [0, 0, at * 3], at, plane=AXIAL)
    make_all()
    place = DICOMInstance.objects.get(dicom_series=other, instance_number=3).pk
    with django_assert_num_queries(7):  # three of them for who asks, and the header
        shown = staff_client.get(page)
    html = shown.content.decode()
    assert [line.series.pk for line in shown.context["lines"]] == [other.pk, series.pk]
    link = f'<a class="flag" href="{address(other)}?at={place}#object-{place}">1 gap, 1 double</a>'
    assert link in html
    assert html.count('name="row" form="chosen"') == 2
    above = reverse("study", args=[series.dicom_study_id])
    assert f'<a class="row-name" href="{above}"><bdi>' in html
    monkeypatch.setattr(incomplete, "ROWS", 1)
    first = staff_client.get(page)
    assert "2 series" in words(first.content.decode())
    second = staff_client.get(f"{page}?{first.context['page'].after.query}")
    assert [line.series.pk for line in second.context["lines"]] == [series.pk]
    csv = b"".join(staff_client.get(reverse("incomplete_csv"))).decode().splitlines()
    assert len(csv) == 3
    assert '"1 gap, 1 double",1,1,1,0,' in csv[1]
    for way in (f"{reverse('study_list')}?slices=incomplete", reverse("catalogue_health")):
        assert f'href="{page}"' in staff_client.get(way).content.decode()
    user = django_user_model.objects.create_user("looker", is_staff=True)
    for name in ("view_dicomstudy", "view_dicomseries"):
        user.user_permissions.add(Permission.objects.get(codename=name))
    client.force_login(user)
    assert "Patient" not in words(client.get(page).content.decode()).partition("Incomplete")[2]
    assert "patient" not in b"".join(client.get(reverse("incomplete_csv"))).decode().split("\n")[0]


# --- kinds of series -------------------------------------------------------------------------


def stacks(made, of: list[dict], count: int = 12) -> list[dict]:
    """Several stacks in one place, numbered through."""
    return [
        (
            made,
            {
                "InstanceNumber": stack * count + at + 1,
                "ImagePositionPatient": [0, 0, at * 2.5],
                **values,
            },
        )
        for stack, values in enumerate(of)
        for at in range(count)
    ]


def frames(positions, **others) -> list[dict]:
    return [
        {
            "PlanePositionSequence": [{"ImagePositionPatient": [0, 0, position]}],
            "FrameContentSequence": [others],
        }
        for position in positions
    ]


def enhanced(*groups: dict) -> list[tuple]:
    made = {"PerFrameFunctionalGroupsSequence": list(groups), "frames": len(groups)}
    return [(enhanced_ct, {"InstanceNumber": 7, **made})]


PLACES = [at * 2 for at in range(12)]
PHASES = [frames(PLACES, TemporalPositionIndex=at) for at in (1, 2, 3)]
# What tells the stacks of one series apart.
TOLD_APART = {
    "dynamic": [{"TemporalPositionIdentifier": at} for at in range(1, 5)],
    "multi-echo": [{"EchoTime": echo} for echo in ("2.3", "4.6", "6.9")],
    "diffusion": [{"DiffusionBValue": b} for b in (0.0, 500.0, 1000.0)],
    "gated": [{"TriggerTime": at * 50} for at in range(4)],
    "magnitude and phase": [{"ImageType": ["ORIGINAL", "PRIMARY", kind]} for kind in "MP"],
    "acquisitions": [{"AcquisitionNumber": at} for at in (1, 2)],
    "stacks": [{"StackID": at} for at in "12"],
}
PLAIN = stacks(ct_image, [{}], 20)
SCOUT = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "InstanceNumber": 21}
WORDS = {
    "plain": (PLAIN, "complete"),
    "with gaps": (PLAIN[:5] + PLAIN[6:10] + PLAIN[12:], "2 gaps"),
    "with numbers left out": (
        [*PLAIN, *[(ct_image, {"InstanceNumber": at + 2, "ImagePositionPatient": [0, 0, at * 2.5]})
                   for at in (20, 21, 22)]],
        "complete",
    ),
    "with a double": ([*PLAIN, (ct_image, PLAIN[5][1] | {"InstanceNumber": 21})], "1 double"),
    "4D CT": (stacks(ct_image, [{}] * 4), "several at each position"),
    "tilted": (stacks(ct_image, [{"ImageOrientationPatient": [1, 0, 0, 0, 0.9397, -0.342]}]),
               "complete"),
    "with a scout": ([*PLAIN, (ct_image, SCOUT)], "complete"),
    "frames": (enhanced(*PHASES[0], *PHASES[1], *PHASES[2]), "complete"),
    "frames with a gap": (enhanced(*PHASES[0], *PHASES[1][:4], *PHASES[1][5:]), "1 gap"),
    "a picture": ([(secondary_capture, {})], ""),
    "one image": ([(ct_image, {})], ""),
    "nowhere": (stacks(ct_image, [{"ImageOrientationPatient": None}]), ""),
    "nowhere with holes": (
        [one for one in stacks(ct_image, [{"ImageOrientationPatient": None}], 20)
         if one[1]["InstanceNumber"] not in (5, 6, 9)],
        "3 missing numbers",
    ),
}  # fmt: skip
for name, of in TOLD_APART.items():
    whole = stacks(mr_image, of)
    if len(of) > 2:
        WORDS[f"{name} with a short stack"] = (whole[:22] + whole[24:], "1 gap")
    WORDS[name] = (whole, "complete")
    WORDS[f"{name} with a gap"] = (whole[:16] + whole[17:], "1 gap")


def test_series_of_all_kinds(import_zip, staff_client, monkeypatch):
    import_zip(
        *(
            make(
                SeriesInstanceUID=uid(5, at),
                SOPInstanceUID=uid(5, at, number),
                SeriesDescription=name,
                **keywords,
            )
            for at, (name, (objects, _)) in enumerate(WORDS.items())
            for number, (make, keywords) in enumerate(objects)
        )
    )
    series = {one.series_description: one for one in DICOMSeries.objects.order_by("pk")}
    now = completeness.told_of(series.values())
    with monkeypatch.context() as change:
        change.setattr(completeness, "AT_ONCE", 30)  # of 36 frames
        frames = series["frames"]
        assert completeness.told_of([frames])[frames.pk].words == "not yet looked at"
    make_all()
    told = completeness.told_of(series.values())
    assert told == now  # what a page looks at by itself is what is kept
    said = {name: told[series[name].pk].words for name in WORDS}
    assert said == {name: expected for name, (_, expected) in WORDS.items()}
    lines = {name: [line.words for line in told[one.pk].lines] for name, one in series.items()}
    assert lines["with a double"] == ["No. 6 and no. 21 lie at the same position (12.5 mm)."]
    place = "Between frame 16 of no. 7 (6 mm) and frame 17 of no. 7 (10 mm),"
    assert lines["frames with a gap"] == [f"{place} 1 slice of 2 mm is missing."]
    gap = told[series["frames with a gap"].pk].first
    way = f"?at={gap.instance}&amp;frame=16#object-{gap.instance}"
    assert way in staff_client.get(reverse("incomplete_list")).content.decode()
    place, missing = "no. 22 (22.5 mm)", "2 slices"
    end = sentence("lacks_behind", place=place, missing=missing, verb="are")
    assert lines["dynamic with a short stack"] == [end, "Instance numbers 23 to 24 are missing."]
    skipped = told[series["with numbers left out"].pk]
    assert lines["with numbers left out"] == []  # no place to go to
    left_out = sentence("numbers_skipped", numbers="Instance number 21 is")
    assert skipped.notes[1] == left_out
    assert skipped.title.endswith(left_out)
    assert "1 localizer not counted." in told[series["with a scout"].pk].notes
    assert told[series["4D CT"].pk].title == sentence("several_at_each_position")
