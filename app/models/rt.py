"""What radiotherapy files: structure sets and their ROIs."""

from django.db import models

from .catalogue import DICOMInstance
from .searched import Searched, SearchTextField


class RTStructureSetInformation(Searched):
    """An RT Structure Set: PS3.3 A.19 and C.8.8.5."""

    dicom_instance = models.OneToOneField(
        DICOMInstance, on_delete=models.CASCADE, related_name="rt_structure_set"
    )
    structure_set_label = models.CharField("label", max_length=64, blank=True)
    structure_set_name = models.CharField("name", max_length=1024, blank=True)
    structure_set_date = models.DateField("date", null=True, blank=True)
    approval_status = models.CharField(max_length=16, blank=True)
    number_of_roi = models.PositiveIntegerField("number of ROIs", default=0)
    referenced_frame_of_reference_uid = models.JSONField(
        "referenced frame of reference UIDs", default=list
    )
    referenced_series_instance_uid = models.JSONField(
        "referenced series instance UIDs", default=list
    )
    referenced_sop_count = models.PositiveIntegerField("referenced objects", default=0)
    search_text = SearchTextField("structure_set_label", "structure_set_name", "structure_set_date")

    class Meta:
        verbose_name = "structure set"

    def __str__(self) -> str:
        return f"Structure set {self.dicom_instance_id}"


class RTStructureROI(Searched):
    """One item of the Structure Set ROI Sequence, with its contours: PS3.3 C.8.8.5 and C.8.8.6."""

    rt_structure_set = models.ForeignKey(
        RTStructureSetInformation, on_delete=models.CASCADE, related_name="rois"
    )
    roi_number = models.BigIntegerField("ROI number", null=True, blank=True)
    roi_name = models.CharField("ROI name", max_length=1024, blank=True)
    rt_roi_interpreted_type = models.CharField("interpreted type", max_length=64, blank=True)
    roi_generation_algorithm = models.CharField("generation", max_length=64, blank=True)
    roi_display_color = models.JSONField("colour", null=True, blank=True)  # [red, green, blue]
    contour_count = models.PositiveIntegerField("contours", default=0)
    # Its column lies behind the contours, which SQLite reads on its way there: lists leave it out.
    search_text = SearchTextField("roi_name")
    # JSON text, not jsonb: [{"type": .., "points": [x, y, z, ..] in mm, "sop": ..}, ..]
    roi_contour_data = models.TextField("contours as JSON", default="[]")

    class Meta:
        verbose_name = "structure"

    def __str__(self) -> str:
        return f"ROI {self.roi_number}"
