"""What is kept of an object, and the version by which rows say so."""

from app.dicom import records

# Who keeps another attribute adds it here, and raises READ_VERSION: what is filed then gains it by
# `manage.py reread`.
KEPT = {
    "PatientRecord": "unique_patient_id patient_name patient_dob patient_sex issuer_of_patient_id",
    "StudyRecord": (
        "study_instance_uid study_date study_time study_description accession_number study_id"
    ),
    "SeriesRecord": (
        "series_instance_uid modality series_number series_description series_date "
        "body_part_examined frame_of_reference_uid institution_name manufacturer "
        "manufacturer_model_name station_name units"
    ),
    "InstanceRecord": (
        "sop_instance_uid sop_class_uid transfer_syntax_uid modality instance_number rows columns "
        "number_of_frames"
    ),
    "ImageRecord": (
        "instance_number slice_location image_position_patient acquisition_number "
        "acquisition_time trigger_time temporal_position_identifier slice_thickness pixel_spacing "
        "patient_position image_orientation_patient image_type acquisition_date echo_time "
        "diffusion_b_value stack_id spacing_between_slices rescale_type frame_planes"
    ),
    "FramePlanes": (
        "count image_position_patient image_orientation_patient pixel_spacing slice_thickness "
        "spacing_between_slices stack_id in_stack_position_number temporal_position_index "
        "diffusion_b_value"
    ),
    "ROIRecord": (
        "roi_number roi_name rt_roi_interpreted_type roi_generation_algorithm roi_display_color "
        "contour_count slice_count roi_contour_data"
    ),
    "StructureSetRecord": (
        "structure_set_label structure_set_name structure_set_date approval_status number_of_roi "
        "referenced_frame_of_reference_uid referenced_series_instance_uid referenced_sop_count "
        "rois references"
    ),
    "Reference": "kind uid frame_number",
}


def test_another_attribute_comes_with_another_read_version():
    kept = {name: " ".join(getattr(records, name).__struct_fields__) for name in KEPT}
    assert (records.READ_VERSION, kept) == (5, KEPT)
