"""What an extractor says is believed only as far as it can be true."""

from typing import get_type_hints

import pytest
from msgspec import structs
from msgspec.inspect import IntType, StrType, type_info

from app import models
from app.archives.directory import Member
from app.dicom import attributes, records
from app.dicom.headers import read_header
from app.sandbox.wire import (
    ARRAY_32,
    LENGTH,
    LIST,
    Extracted,
    Receiver,
    Sender,
    Unbelievable,
    staged_name,
)
from tests.making.liar import LIES, NOISE, lying
from tests.making.objects import ct_image, enhanced_ct, rt_structure_set

MEMBER = Member(7, "IM1.dcm", 1_000, 900, 0, 8, 0, 0, 0, False, 0)
LONGEST = 1_000_000


def extracted(data: bytes = ct_image(), **others) -> Extracted:
    header = read_header(data)
    told = Extracted(7, 0, "IM1.dcm", 1_000, "ab" * 32, "", "", header=header)
    return structs.replace(told, **others)


def received(frame: bytes, member: Member = MEMBER) -> list[Extracted]:
    receiver = Receiver(3, {7: member}, LONGEST)
    receiver.buffer += frame
    return list(receiver.members())


def sent(*told: Extracted, lie: str = "") -> bytes:
    """A frame of these, the last of which may be a lie."""
    sender = Sender()
    for one in told:
        sender.add(one)
    if lie:
        sender.messages[-1] = lying(sender.messages[-1], lie)
        sender.size = sum(map(len, sender.messages))
    return b"".join(sender.frame())


@pytest.mark.parametrize(
    "told",
    [
        extracted(),
        extracted(rt_structure_set()),
        extracted(inner=2, name="a/b.dcm", size=77),
        extracted(header=None, outcome="skipped", reason="not_dicom", sha256=""),
        extracted(header=None, outcome="failed", reason="uid_missing", facts={"attribute": "X"}),
        extracted(header=None, outcome="storage", reason="disk_full", sha256=""),
    ],
)
def test_what_is_true_arrives_as_it_was_sent(told):
    (arrived,) = received(sent(told))
    assert arrived.staged == f"3/{staged_name(7, told.inner)}"
    assert structs.replace(arrived, staged="", weight=told.weight) == told


def test_what_holds_more_weighs_more():
    light, frames, contours = (
        received(sent(extracted(data)))[0].weight
        for data in (ct_image(), enhanced_ct(), rt_structure_set())
    )
    assert light < frames
    assert light < contours


@pytest.mark.parametrize("lie", LIES)
def test_what_cannot_be_true_is_not_believed(lie):
    with pytest.raises(Unbelievable):
        received(sent(extracted(), lie=lie))


@pytest.mark.parametrize("lie", sorted(LIES.keys() - {"no lineage"}))  # here it is the one before
def test_what_was_told_before_a_lie_in_its_frame_is_believed(lie):
    frame = sent(
        extracted(),
        extracted(inner=2, name="a"),
        extracted(enhanced_ct(SeriesInstanceUID="1.2.9")),
        lie=lie,
    )
    receiver = Receiver(3, {7: MEMBER}, LONGEST)
    receiver.buffer += frame
    members = receiver.members()
    assert [next(members).inner, next(members).inner] == [0, 2]
    with pytest.raises(Unbelievable):
        next(members)


@pytest.mark.parametrize("message", [sent(extracted(inner=1, name="a"))[9:], b"\x00"])
def test_a_frame_of_more_messages_than_a_frame_has_is_not_believed(message):
    many = 20_001
    frame = LENGTH.pack(LIST.size + many * len(message)) + LIST.pack(ARRAY_32, many)
    receiver = Receiver(3, {7: MEMBER}, longest=len(frame) + many * len(message))
    receiver.buffer += frame + many * message
    with pytest.raises(Unbelievable):
        next(receiver.members())


def test_nothing_is_sent_where_nothing_was_added():
    assert sent() == b""


@pytest.mark.parametrize("noise", NOISE)
def test_what_is_no_message_is_not_believed(noise):
    with pytest.raises(Unbelievable):
        received(sent(extracted()) + NOISE[noise])


def test_a_frame_is_refused_by_its_announcement_alone():
    with pytest.raises(Unbelievable):
        received((LONGEST + 1).to_bytes(4, "little"))


def test_the_name_of_a_member_is_that_of_its_archive():
    assert [one.name for one in received(sent(extracted(name="another")))] == ["IM1.dcm"]


def test_the_size_of_a_member_is_the_one_declared_or_more_where_that_is_told_modulo():
    for size in (77, 1_001):
        with pytest.raises(Unbelievable):
            received(sent(extracted(size=size)))
    grown = MEMBER._replace(modulus=2**32)
    assert received(sent(extracted(size=2**32 + 1_000)), grown)
    with pytest.raises(Unbelievable):
        received(sent(extracted(size=77)), grown)


def test_a_name_within_a_zip_is_one_line():
    with pytest.raises(Unbelievable):
        received(sent(extracted(inner=1, name="two\nlines")))


# The bounds are those of the columns


RECORDS = {
    models.Patient: records.PatientRecord,
    models.DICOMStudy: records.StudyRecord,
    models.DICOMSeries: records.SeriesRecord,
    models.DICOMInstance: records.InstanceRecord,
    models.ImageInformation: records.ImageRecord,
    models.RTStructureSetInformation: records.StructureSetRecord,
    models.RTStructureROI: records.ROIRecord,
}
FIELDS = [
    (model, name, hint)
    for model, record in RECORDS.items()
    for name, hint in get_type_hints(record, include_extras=True).items()
    if name in record.__struct_fields__ and name not in ("rois", "references")
]


@pytest.mark.parametrize(("model", "name", "hint"), FIELDS)
def test_a_text_is_as_long_and_a_number_as_large_as_its_column_takes(model, name, hint):
    field = model._meta.get_field(name)
    kinds = type_info(hint)
    for kind in getattr(kinds, "types", (kinds,)):
        if isinstance(kind, StrType):
            assert kind.max_length == field.max_length
        if isinstance(kind, IntType):
            unsigned = field.get_internal_type().startswith("Positive")
            assert (kind.ge, kind.lt) == (0, 2**31) if unsigned else (kind.ge == -(2**63))


@pytest.mark.parametrize(
    ("record", "group"),
    [
        (records.PatientRecord, attributes.PATIENT),
        (records.StudyRecord, attributes.STUDY),
        (records.SeriesRecord, attributes.SERIES),
        (records.ImageRecord, attributes.IMAGE),
        (records.StructureSetRecord, attributes.STRUCTURE_SET),
    ],
)
def test_what_is_read_of_an_attribute_is_what_may_arrive(record, group):
    hints = get_type_hints(record, include_extras=True)
    longest = {
        name: type_info(hints[name]).max_length
        for name, attribute in group.items()
        if attribute.longest
    }
    assert longest == {name: group[name].longest for name in longest}
    assert longest
