"""Every reason code with the sentence that people read, in one place.

A sentence says what is so and, where there is something to do, what to do. It may name
attributes, counts and limits in braces; it never holds a value from a file.
"""

import re


class Passing(str):
    """The flag beside a code: what it says passes, so that trying again can mend it.

    Disks are emptied, limits raised, readers were unlucky; a ZIP's own faults stay.
    """

    __slots__ = ()


# What the buttons are called, on the pages and in the sentences that name them.
PROCESS_NOW = "Process Now"
STARTED_BY_OTHERS = "The administrator starts it."  # to who may not press it
PROCESS_AGAIN = "Process again"
TRY_AGAIN = "Try the {files} again"
STOP = "Stop"
SEEN = "Seen"
USE_VERSIONS = "Use these versions"
SEE_DIFFERENCES = "See what differs"
PROGRESS = "Progress"
RESULT = "Result"

# The archive as a whole was refused.
ARCHIVE: dict[str, str] = {
    "archive_missing": "The uploaded ZIP is no longer on the server. Upload it again.",
    "archive_empty": "The ZIP holds no files. Check that it is the right one.",
    "not_a_zip": "This is not a ZIP archive. Pack the files into a ZIP and upload that.",
    "archive_truncated": (
        "The ZIP is incomplete: its list of contents, which stands at the end, is missing. "
        "Copy or download it again, then upload it. "
        "If it is one part of a split ZIP, join the parts first."
    ),
    "archive_damaged": "The ZIP's list of contents is damaged. Make the ZIP again and upload it.",
    "archive_overflowed": (
        "The ZIP is larger than 4 GB but written in the old format, as macOS's Archive Utility "
        "writes it, and where its files are cannot be told without doubt. Make several ZIPs of "
        "less than 4 GB; on a Mac, with Terminal's command ditto -c -k."
    ),
    "archive_split": (
        "This is one part of a ZIP that was split into several. "
        "Join the parts into one ZIP and upload that."
    ),
    "archive_overlap": (
        "Files in the ZIP overlap each other, as in a damaged or forged ZIP. "
        "Make the ZIP again from the original files."
    ),
    "too_many_members": (
        "The ZIP holds {count} files; the limit is {limit}. Upload it in several smaller ZIPs."
    ),
    "total_too_large": (
        "Unpacked, the ZIP would be {size}; the limit is {limit}. "
        "Upload it in several smaller ZIPs."
    ),
    "no_room": Passing(
        "Unpacked, the ZIP needs {needed}, but only {free} are free on the server's disk. "
        f"Ask the administrator to make room, then press {PROCESS_AGAIN}."
    ),
    "upload_too_large": "A ZIP may have up to {limit}. Upload it in several smaller ZIPs.",
    "no_room_for_zip": (
        "The server's disk has {free} free, too little for this ZIP of {size}. "
        "Ask the administrator to make room."
    ),
    "disk_filled_up": (
        "The server's disk filled up while this ZIP of {size} arrived, and nothing of it was kept. "
        "Ask the administrator to make room, then upload it again."
    ),
    "upload_not_written": (
        "The server could not write this ZIP to its disk, and nothing of it was kept. "
        "Ask the administrator, then upload it again."
    ),
    "database_disk_full": (
        "The server's disk is full, so ICON cannot work. Ask the administrator to make room."
    ),
    "copy_failed": "The file cannot be read or copied.",
    "copy_filled_disk": (
        "The disk filled up while the file was copied, and nothing of it was kept. Make room first."
    ),
}

# One member is not something to store.
SKIPPED = {
    "not_dicom": "Not DICOM.",
    "other_archive": (
        "Not DICOM, but an archive of another kind (such as 7z, RAR, tar or tar.gz), which was not "
        "opened. If it holds DICOM, unpack it and upload its files in a ZIP."
    ),
    "gzip_not_dicom": "Packed with gzip, and what is in it is not DICOM.",
    "empty_file": "An empty file.",
    "dicomdir": "A DICOM directory file: an index of the medium, not an object to store.",
    "system_file": "A system file that the computer or the CD's viewer needs, not DICOM.",
    "link": "A link to another file, not a file. Links are not followed.",
    "nested_archive": (
        "An archive inside the ZIP. It was opened; what is in it is listed below it."
    ),
    "nested_too_deep": (
        "An archive too deep inside archives, so it was not opened (levels that are: {limit}). "
        "Upload what is in it by itself."
    ),
}

# One member should have been stored and could not be.
FAILED: dict[str, str] = {
    "encrypted": "Protected by a password. Unpack it, and upload a ZIP without a password.",
    "method_unsupported": (
        "Packed with a compression method that ICON cannot read (number {method}). "
        "Pack the files again as an ordinary ZIP (Deflate)."
    ),
    "part_missing": (
        "It lies in an earlier part of a ZIP that was split into several. "
        "Join the parts into one ZIP and upload that."
    ),
    "member_damaged": (
        "Damaged inside the ZIP: it cannot be unpacked to its end. "
        "Make the ZIP again and upload it."
    ),
    "gzip_damaged": (
        "Packed with gzip, and damaged: it cannot be unpacked to its end, or its checksum does not "
        "match. Get the file again and upload it in a ZIP."
    ),
    "crc_mismatch": (
        "Damaged inside the ZIP: its checksum (CRC) does not match. "
        "Make the ZIP again and upload it."
    ),
    "size_mismatch": (
        "Damaged inside the ZIP: its size is not what the ZIP's list of contents says. "
        "Make the ZIP again and upload it."
    ),
    "member_too_large": Passing(
        "Larger than the limit of {limit}. Ask the administrator to raise it."
    ),
    "upload_grows_too_large": (
        "With it, the files of this ZIP would be more than one upload may hold, unpacked. "
        "Upload it in several smaller ZIPs."
    ),
    "header_too_large": Passing(
        "The DICOM header is larger than the limit of {limit}. Ask the administrator to raise it."
    ),
    "too_many_items": Passing(
        "The DICOM header holds more than {limit} sequence items. "
        "Ask the administrator to raise this limit."
    ),
    "nested_too_deeply": (
        "The DICOM header's sequences are nested too deeply to be read. "
        "Export it again from the system it came from."
    ),
    "too_much_memory": (
        "Reading this file needs more memory than a file may use. "
        "Export it again from the system it came from."
    ),
    "header_damaged": (
        "The DICOM header is damaged or incomplete. Export it again from the system it came from."
    ),
    "uid_missing": (
        "{attribute} is missing, so ICON cannot tell where this object belongs. "
        "Export it again from the system it came from."
    ),
    "uid_invalid": (
        "{attribute} is not a UID that can be stored. Export it again from the system it came from."
    ),
    "patient_id_too_long": (
        "The patient's ID is longer than {limit} characters. "
        "Correct it in the system it came from and export this object again."
    ),
    "reader_crashed": Passing(
        "Reading this file ended the reading program twice. It may be damaged: "
        "export it again from the system it came from."
    ),
    "reader_hung": Passing(
        "Reading this file took longer than is allowed, twice. It may be damaged: "
        "export it again from the system it came from."
    ),
    "answer_impossible": (
        "Reading this file gave an answer that cannot be true, twice. It may be made to do harm: "
        "ask the administrator to look at it."
    ),
    "nested_refused": "An archive inside the ZIP that could not be read. {why}",
    "not_stored": Passing(
        "The database refused this object. Ask the administrator to look at the log."
    ),
}

# The same where it is so of all that an upload has.
OF_ALL = {
    "encrypted": (
        "They are protected by a password. Unpack them, and upload a ZIP without a password."
    ),
    "method_unsupported": (
        "They are packed with a compression method that ICON cannot read. "
        "Pack the files again as an ordinary ZIP (Deflate)."
    ),
    "part_missing": (
        "They lie in an earlier part of a ZIP that was split into several. "
        "Join the parts into one ZIP and upload that."
    ),
    "member_damaged": (
        "They are damaged inside the ZIP and cannot be unpacked to their ends. "
        "Make the ZIP again and upload it."
    ),
    "gzip_damaged": (
        "They are packed with gzip, and damaged. Get the files again and upload them in a ZIP."
    ),
    "crc_mismatch": (
        "They are damaged inside the ZIP: their checksums (CRC) do not match. "
        "Make the ZIP again and upload it."
    ),
    "size_mismatch": (
        "They are damaged inside the ZIP: their sizes are not what its list of contents says. "
        "Make the ZIP again and upload it."
    ),
    "member_too_large": "They are larger than the limit. Ask the administrator to raise it.",
    "upload_grows_too_large": (
        "Together they are more than one upload may hold, unpacked. "
        "Upload them in several smaller ZIPs."
    ),
    "header_too_large": (
        "Their DICOM headers are larger than the limit. Ask the administrator to raise it."
    ),
    "too_many_items": (
        "Their DICOM headers hold more sequence items than the limit allows. "
        "Ask the administrator to raise it."
    ),
    "nested_too_deeply": (
        "The sequences in their DICOM headers are nested too deeply to be read. "
        "Export them again from the system they came from."
    ),
    "too_much_memory": (
        "Reading them needs more memory than a file may use. "
        "Export them again from the system they came from."
    ),
    "header_damaged": (
        "Their DICOM headers are damaged or incomplete. "
        "Export them again from the system they came from."
    ),
    "uid_missing": (
        "{attribute} is missing in them, so ICON cannot tell where they belong. "
        "Export them again from the system they came from."
    ),
    "uid_invalid": (
        "{attribute} is not a UID that can be stored. "
        "Export them again from the system they came from."
    ),
    "patient_id_too_long": (
        "The patient's ID in them is too long. "
        "Correct it in the system they came from and export them again."
    ),
    "reader_crashed": (
        "Reading each of them ended the reading program twice. They may be damaged: "
        "export them again from the system they came from."
    ),
    "reader_hung": (
        "Reading each of them took longer than is allowed, twice. They may be damaged: "
        "export them again from the system they came from."
    ),
    "answer_impossible": (
        "Reading each of them gave an answer that cannot be true, twice. "
        "They may be made to do harm: ask the administrator to look at them."
    ),
    "nested_refused": "They are archives inside the ZIP that could not be read.",
    "not_stored": "The database refused them. Ask the administrator to look at the log.",
}

# One member's object is already in the catalogue.
KNOWN = {
    "same_bytes": "Already in the catalogue, with the very same content.",
    "other_bytes": (
        "The catalogue already holds this object with other content, which was kept. "
        "Look at what differs; a Manager may take this one instead."
    ),
}

# Stored all the same, but worth knowing.
WARNINGS = {
    "value_unreadable": "{attribute} could not be read and was left empty.",
    "value_shortened": "{attribute} is longer than {limit} characters and was shortened.",
    "uid_nonstandard": "{attribute} breaks the DICOM standard's rule for UIDs; stored as it is.",
    "uid_meta_differs": (
        "The file gives its object two SOP Instance UIDs; the object's own was used."
    ),
    "patient_id_empty": "The patient has no ID, so the study was given a patient of its own.",
    "patient_id_controls": (
        "The patient's ID holds control characters; each is written as its number, as in <U+000A>."
    ),
    "sop_class_missing": "SOP Class UID is missing, so ICON cannot tell what kind of object it is.",
    "header_cut": "The file ends in the middle of its header; what is there was read.",
    "not_deflated": "The file says that it is deflated, and is not; it was read as it is.",
    "charset_guessed": "The text's character set is missing or wrong; it was guessed.",
    "patient_differs": (
        "{attribute} differs from what the catalogue has for this patient's ID, which was kept. "
        "Check whether two people share this ID."
    ),
    "study_shared": (
        "This study is also catalogued under another patient. Check which of the two it belongs to."
    ),
    "stranger_moved": (
        "An unknown file stood where this object belongs. It was moved to the folder .found."
    ),
    "planes_lost": (
        "Where each frame lies could not be read, or is too much to keep; the object itself was "
        "stored."
    ),
    "roi_without_contours": "ROIs without contours: {count}.",
    "roi_number_repeated": "ROIs that share their number with another: {count}.",
    "contours_without_roi": "ROIs with contours that the structure set does not define: {count}.",
    "contour_unreadable": (
        "Contours with numbers that cannot be read, left out: {count} (ROI Number {rois})."
    ),
    "contour_decimal_commas": (
        "Contours with decimal commas, left out: {count} (ROI Number {rois})."
    ),
    "contour_separator_last": (
        "Contours that end in a separator without a number, kept up to there: {count} "
        "(ROI Number {rois})."
    ),
    "contour_points_differ": (
        "Contours with fewer or more points than the file says they have: {count} "
        "(ROI Number {rois}). Some systems cut contours longer than 64 kB."
    ),
    "references_left_out": (
        "It refers to more than {limit} images, frames, series and studies; what comes after them "
        "in the file is not followed."
    ),
    "structures_unreadable": "The structures could not be read; the object itself was stored.",
}

# The run stopped; what was stored stays.
STORAGE: dict[str, str] = {
    "disk_full": Passing(
        "The disk is full{needed}. "
        f"Make room, then press {PROCESS_AGAIN}; it goes on where it stopped."
    ),
    "disk_read_only": Passing(
        "The disk cannot be written to. "
        f"Ask the administrator, then press {PROCESS_AGAIN}; it goes on where it stopped."
    ),
    "no_folder_or_file": Passing(
        "Among the processed files a link, or something else, stands where a folder or a file "
        "belongs. Ask the administrator to see what the nightly check says, "
        f"then press {PROCESS_AGAIN}; it goes on where it stopped."
    ),
    "disk_error": Passing(
        "The disk reported an error. "
        f"Ask the administrator, then press {PROCESS_AGAIN}; it goes on where it stopped."
    ),
}

# How a whole upload ended, where no single member is the reason.
ENDS: dict[str, str] = {
    "nothing_stored": "None of the files in the ZIP could be stored.",
    "nothing_stored_why": (
        "None of the files in the ZIP could be stored, for {count} different reasons."
    ),
    "no_dicom": "The ZIP holds no DICOM files. Check that it is the right one.",
    "only_archives": (
        "The ZIP holds no DICOM files, but archives that were not opened. "
        "If these hold DICOM, unpack them and upload their files in a ZIP."
    ),
    "only_conflicts": (
        "Other versions of these objects are already here; nothing was changed. "
        "Look at what differs; a Manager may take the new ones."
    ),
    "too_many_attempts": Passing(
        "Processing stopped unexpectedly {count} times without getting further. "
        "Ask the administrator to look at the worker's log."
    ),
    "database_away": Passing(
        "The database could not be reached for too long. "
        f"Press {PROCESS_AGAIN}; it goes on where it stopped."
    ),
    "failed_without_reason": Passing("Processing failed."),
    "unexpected": Passing(
        "Something unexpected went wrong inside ICON. What was stored is kept. "
        f"Press {PROCESS_AGAIN} to go on; if it happens again, ask the administrator "
        "to look at the worker's log."
    ),
}

# What somebody asked for cannot be done now, or not at all.
REFUSED = {
    "upload_gone": "No longer here.",
    "in_progress": "Being processed.",
    "already_queued": "Queued already.",
    "zip_removed": "The kept ZIP was removed. Upload it again.",
    "nothing_in_conflict": "No file is in conflict with the catalogue.",
    "no_series_chosen": "Nothing was changed. Choose at least one series.",
    "versions_unseen": (
        "Only who may see what differs may use these versions. Ask the administrator for the right "
        "to view patients, studies and series."
    ),
    "versions_decided": "A Manager decides which versions stay.",
    "nothing_failed": "Completed, and no file failed.",
    "nothing_to_stop": "Neither queued nor in progress.",
    "nothing_to_see": "Nothing needs attention, or somebody has seen it.",
    "to_be_decided": (
        "A question about its files is open: which version to keep, or whose they are. "
        "That is to be decided first."
    ),
    "delete_while_processed": f"Being processed. Press {STOP} first, then delete.",
    "delete_on_broken_disk": (
        "The server's disk is full or cannot be written to. Ask the administrator, then try again."
    ),
    "no_date": "That is no date, and was left out. Write a day as 2024-03-13.",
    "search_over": "That search is no longer kept. Search again.",
    "structure_gone": (
        "The structure that this list was narrowed by was deleted since. "
        "The list is not narrowed by it."
    ),
    "chosen_gone": "Nothing was added: what was chosen is not here any more.",
    "same_person_gone": "Nothing was noted: the other patient is not here any more.",
    "filter_gone": (
        "The series that stood for the {what} in this address was deleted since. "
        "The list is not narrowed by it."
    ),
    "too_many_chosen": "Nothing was changed. Choose at most {limit} at a time.",
    "removed_before": "Removed before.",
    "still_to_process": "Still to be processed.",
    "holds_conflicts": (
        "Some objects in it are in conflict with the catalogue, and only it has them."
    ),
    "signing_in_locked": (
        "Signing in was tried too often. Try again in {wait}, or ask an administrator to unlock it."
    ),
    "holds_failures": "Not everything in it could be stored, and only it has the rest.",
    "not_allowed": "Your account may not do this. Ask the administrator for the permission.",
    "not_allowed_yet": (
        "For this you must be allowed to {abilities}: role {role}. Ask the administrator."
    ),
    "sign_in_wrong": (
        "Please enter the correct username and password. In both, capital letters count."
    ),
    "no_role_yet": "Your account may not use ICON yet. Ask the administrator to give it a role.",
    "password_first": "Choose a password of your own first.",
    "password_same": "Choose another password than the old one.",
    "not_recorded": (
        "Who did this could not be written down, so it was not done, or not to its end. "
        "Try again; if it happens again, ask the administrator to look at the log."
    ),
}

# What is said and asked before objects are deleted.
DELETING = {
    "held_one": "It is also in {zips}, and can be imported from there again.",
    "held_all": "All {count} are also in {zips}, and can be imported from there again.",
    "held_some": (
        "{count} of {total} are also in {zips}, and can be imported from there again. "
        "No kept ZIP holds the others: they will be gone."
    ),
    "held_at_least": (
        "At least {count} of {total} are also in {zips}. "
        "Not all of the others were looked for: take it that they will be gone."
    ),
    "held_none": "No kept ZIP holds these: they will be gone.",
    "held_no_one": "No kept ZIP holds it: it will be gone.",
    "held_unsought": (
        "No kept ZIP holds the first {count}. "
        "The others were not looked for: take it that all will be gone."
    ),
    "reason_missing": "Say why, in at most {limit} characters.",
    "study_protected": ("Protected by {who} on {day}: {reason}. Take the protection off first."),
    "protection_given": "The study is protected: it cannot be deleted.",
    "protected_before": "Somebody has protected the study already. Nothing was changed.",
    "protection_taken_off": "The protection is taken off: the study can be deleted.",
    "number_differs": "This is not the number of objects that go, {count}.",
    "unlisted_zips": (
        "ZIPs that no upload lists: {count} ({size}), in the folder “unlisted” of the uploaded "
        "archives. `manage.py import_archive` takes one in again; what nobody needs, "
        "the administrator deletes there."
    ),
}

# The trash.
TRASH = {
    "goes_to_trash": "It goes to the trash, and can be restored until {day}.",
    "go_to_trash": "They go to the trash, and can be restored until {day}.",
    "deleted_at_once": "There is no trash here: this cannot be undone.",
    "delete_stopped": (
        "The server's disk did not take all of it: what is missing in the trash is still in the "
        "catalogue. It goes on by itself as soon as the disk does. Ask the administrator."
    ),
    "restore_on_broken_disk": (
        "The server's disk did not take all of it: what is missing in the catalogue is still in "
        "the trash. It goes on by itself as soon as the disk does. Ask the administrator."
    ),
    "restored_already_here": "Already here, since the very same came back meanwhile: {objects}.",
    "trash_conflicts": (
        "{objects} stayed in the trash: the catalogue has other content in the same place. "
        "Delete that first, then restore again."
    ),
    "nothing_was_moved": "Nothing of it had gone to the trash yet: all of it stays.",
    "trash_gone": "It is not in the trash any more: it was restored or erased before.",
    "trash_busy": "Something else is just being done with it. Look again in a moment.",
    "being_deleted": "It is being moved to the trash, part by part. Look there in a while.",
    "worker_restores": (
        "A worker gives it back, part by part, since it is so much. Look again in a while."
    ),
    "worker_erases": (
        "A worker erases it, part by part, since it is so much. It cannot be restored."
    ),
    "trash_waits": "The disk does not take it; it goes on by itself as soon as the disk does.",
}

# What holds an upload up, on its way here or in the queue.
HELD_UP = {
    "no_worker": ("Waiting for a worker. If this lasts, ask the administrator whether one runs."),
    "choose_first": "Choose a ZIP first.",
    "connection_lost": "The connection was lost.",
    "goes_on": "It goes on by itself when the connection is back.",
    "known_upload": "Already uploaded on {day}{by}: {status}.",
    "signed_out": (
        "You were signed out, or may not upload. Sign in again in another tab, then try again."
    ),
    "server_refused": "The server could not take it.",
    "cannot_be_read": "Your browser cannot read this. Is it a folder? Pack it into a ZIP first.",
}

# Why a run ends early, and goes on by itself later.
HANDED_ON = {
    "gives_way": "It gives way to a smaller ZIP that waits, and goes on after it.",
    "other_version": (
        "Another version of ICON was installed since this worker was started. "
        "It hands the upload on, and ends; one that runs the new version goes on."
    ),
}

# Of two versions of an object: why they were not compared, or not wholly.
COMPARED = {
    "zip_gone": "The ZIP is no longer on the server, so the two cannot be compared.",
    "catalogued_gone": "What was catalogued has been deleted since.",
    "comparing_took_long": "Comparing took too long.",
    "comparing_failed": "One of the two could not be read.",
    "comparing_busy": "Another comparison is under way. Load this page again in a moment.",
    "too_complex_to_compare": "One of the two holds too many sequence items to be compared.",
    "header_compared": "The object is large: only what precedes the pixel data was compared.",
    "same_content": "Both say the same; they differ only in how they are written.",
}

# Of a filed object that somebody looks into: why not all of it is shown, or how it is.
LOOKING = {
    "object_gone": (
        "Its file cannot be read. Ask the administrator to see what the nightly check says."
    ),
    "looking_busy": "Others are looking into objects just now. Load this page again in a moment.",
    "series_changed": "The series has changed: reload the page.",
    "header_took_long": "Reading it took too long.",
    "header_unread": "It could not be read. The object itself is stored as it came.",
    "header_ends_early": "The file ends here, too early.",
    "header_cannot_go_on": "The file is damaged here: what follows cannot be told apart.",
    "header_too_deep": "Sequences are nested too deeply here for what follows to be shown.",
    "header_goes_on": "It goes on: there is more than can be looked through at once.",
    "previous_unread": "The previous image could not be read to its end, so nothing is compared.",
    "previous_too_long": "The previous image has too many attributes to be compared.",
    "document_too_long": "The document goes on: what follows is too much for one page.",
    "no_pdf": "What this object holds as its document is no PDF. The header says what it is.",
    "pdf_deflated": "The PDF is packed within its object in a way that cannot be shown here.",
}

# Why there is no picture of an object, or of one of its frames.
PICTURES = {
    "no_picture": "This object holds no picture.",
    "picture_unsupported": (
        "ICON has no decoder for the way in which this picture is compressed. "
        "The object itself is stored as it came."
    ),
    "picture_video": "This is a video, which ICON does not play. The object is stored as it came.",
    "picture_too_large": (
        "This picture is too large to be shown here. The object itself is stored as it came."
    ),
    "picture_damaged": (
        "This picture cannot be decoded: it is damaged, or not what the header says. "
        "The object itself is stored as it came."
    ),
    "picture_unlike_header": (
        "This picture has another size than the header says, so it is not shown. "
        "The object itself is stored as it came."
    ),
    "picture_cut": "The file ends before this picture does.",
    "picture_unread": "The storage could not be read just now, so there is no picture.",
    "no_such_frame": "The object holds no picture of this number.",
    "picture_took_long": (
        "Decoding this picture takes longer than is allowed. "
        "The object itself is stored as it came."
    ),
    "picture_not_made": (
        "Decoding this picture ended the decoding program. It may be damaged, or made to do harm. "
        "The object itself is stored as it came."
    ),
}

# Why a dose is not drawn over images.
DOSES = {
    "dose_without_grid": "This object holds no grid of doses, so nothing of it can be drawn.",
    "dose_is_flat": "This dose is a plane or a line, not a grid, so it is not drawn.",
    "dose_not_placed": (
        "This dose does not say where its grid lies in the patient, so it is not drawn."
    ),
    "dose_axes": (
        "The rows and columns of this dose's grid are not at right angles, or its directions have "
        "no unit length, so it is not drawn."
    ),
    "dose_offsets": (
        "Where the planes of this dose lie cannot be told for certain from what it says, so it is "
        "not drawn."
    ),
    "dose_not_scaled": "This dose does not say what its numbers stand for, so it is not drawn.",
    "dose_without_unit": (
        "This dose does not say whether it is in Gy or relative, so it is not drawn."
    ),
    "dose_planes": ("This dose has more than 10,000 planes, too many to be drawn over images."),
    "dose_too_large": (
        "This dose's grid has more than 64 million values, too many to be drawn over images."
    ),
}

# Why masks of a segmentation are not drawn over a series.
MASKS = {
    "segments_not_binary": (
        "This segmentation gives each pixel a fraction or a label; only yes or no can be drawn."
    ),
    "segments_not_told": (
        "What this segmentation says of its segments or frames cannot be read, so it is not drawn."
    ),
    "segments_too_many": "This segmentation has more frames or segments than can be drawn here.",
    "segments_elsewhere": (
        "{frames} not drawn: no image here has the very same plane, rows and columns."
    ),
}

# Why a structure set, or some contours of a ROI, are not drawn over images.
CONTOURS = {
    "points_too_many": (
        "This structure set has {count} points, more than the {limit} that ICON draws."
    ),
    "contours_too_many": (
        "This structure set has {count} contours, more than the {limit} that ICON draws."
    ),
    "rois_too_many": "This structure set has {count} ROIs, more than the {limit} that ICON draws.",
    "contours_unread": "Contours that cannot be read and are not drawn: {count}.",
    "contours_far": "Contours that lie more than 10 km away and are not drawn: {count}.",
    "contours_of_no_roi": (
        "Contours of a ROI that the structure set does not define, and that are not drawn: {count}."
    ),
    "contours_cut": "The file ends within its structures: what comes after that is not drawn.",
    "contours_took_long": "Reading the contours takes longer than is allowed.",
    "contours_not_made": (
        "Reading the contours ended the program that does so. "
        "The structure set may be damaged, or made to do harm."
    ),
    "contours_not_read": "The storage could not be read just now, so there are no contours.",
}

# One Patient ID came with several identities.
IDENTITIES = {
    "identity_asked": (
        "A patient's ID came with another name, birth date, sex or issuer than before. "
        "Somebody has to say whether that is one person."
    ),
    "identity_who_answers": "A Manager or an administrator can answer this.",
    "identity_unread": (
        "An earlier version of ICON read {objects} of this ID and kept no other values. "
        "`manage.py reread` reads them again, and tells them."
    ),
    "one_person_means": (
        "These values ask no more, for this ID. Another value, or another issuer, asks again."
    ),
    "two_people_means": (
        "Every page of this patient then says so, in red, until somebody answers otherwise. "
        "Nothing is moved: delete what is another person's, and import it under its own ID."
    ),
    "answered_two_words": "Somebody said that two people share this ID.",
    "answered_one": "It is noted: one person.",
    "answered_two": "It is noted: two people.",
}

# Why what an object refers to is not here, and what is odd where it is.
LINKS = {
    "target_missing": "Not imported so far.",
    "target_elsewhere": "Imported under another patient.",
    "target_in_trash": "In the trash.",
    "target_uid_empty": "The file refers to it without saying its UID.",
    "target_no_image": "An object of this UID is here, and is no image.",
    "target_ambiguous": "This patient has several objects of this UID.",
    "target_frame_missing": "The image is here, and has no frame of this number.",
    "frame_of_reference_differs": (
        "Images lie in another frame of reference than the structure set names."
    ),
    "series_not_named": "Images lie in a series that the structure set does not name.",
    "refers_to_nothing": "The structure set names neither images, series, nor a study.",
}

# Downloads: why one is not sent, or not all of it.
DOWNLOADS = {
    "downloads_yours": (
        "ICON sends each user {limit} downloads at once, and so many of yours are under way. "
        "Start this one when one of them has ended or was stopped."
    ),
    "downloads_all": (
        "ICON sends {limit} downloads at once, and so many are under way, yours and others'. "
        "Try again in a few minutes."
    ),
    "nothing_to_download": "Nothing is in it that could be downloaded.",
    "nothing_ticked": "Nothing was ticked. Tick at least one row, and try again.",
    "object_not_sent": (
        "So the object is not sent. Ask the administrator to see what the nightly check says."
    ),
    "left_out": "These objects were left out of this ZIP.",
    "dicomdir_lacks_some": (
        "The DICOMDIR does not name these objects, which are in this ZIP all the same."
    ),
    "dicomdir_lacks": "It has no {attribute}, without which none can be named there.",
    "dicomdir_failed": "The DICOMDIR could not be made.",
    "dicomdir_too_many": (
        "A ZIP with a DICOMDIR holds at most {limit} objects. Download it without, or in parts."
    ),
    "object_deleted": "It was deleted meanwhile.",
    "object_replaced": "It was replaced meanwhile.",
}

# Collections, and IDs of one person.
GATHERED = {
    "collection_unnamed": "Give the collection a name.",
    "collection_changed": "The collection is changed.",
    "collection_deleted": "The collection is deleted. What was in it stays in the catalogue.",
    "collection_full": "A collection holds at most {limit} entries. Nothing was added.",
    "same_person_said": "It is noted: both IDs are the same person. Nothing was moved.",
    "same_person_undone": "It is undone: the two IDs stand for themselves again.",
    "same_person_many": "At most {limit} IDs can be one person. Nothing was changed.",
}

# Telling people that an upload is done, and why a message was not sent.
TELLING: dict[str, str] = {
    "tell_me_saved": "Saved.",
    "tell_me_no_way": "Nothing was sent: choose e-mail or a webhook first.",
    "told_of": "You will be sent a message when it is done.",
    "not_told_of": "You will be sent no message about this one.",
    "told_too_late": "It is done already.",
    "mail_not_set_up": Passing(
        "E-mail is not set up. Ask whoever runs ICON to set ICON_EMAIL_HOST."
    ),
    "mail_test_sent": "The mail server took a message to {to}. See whether it arrives.",
    "mail_no_address": "Give your e-mail address.",
    "mail_sign_in": Passing("The mail server refuses ICON's name or password."),
    "mail_address_refused": "The mail server refuses the address.",
    "mail_refused": "The mail server refuses the message.",
    "mail_busy": Passing("The mail server cannot take it now."),
    "mail_no_tls": Passing("No encrypted connection to the mail server could be made."),
    "mail_no_answer": Passing("The mail server does not answer."),
    "mail_connection_refused": Passing("The mail server refuses the connection."),
    "mail_connection_lost": Passing("The connection to the mail server was lost."),
    "mail_host_unknown": Passing("The mail server's name is not known."),
    "hook_no_url": (
        "This is no address of a webhook. Write it as https://host/path, in at most 500 plain "
        "characters, without a name and password."
    ),
    "hook_private": (
        "The webhook's address is not a public one, and ICON posts only to those. Ask whoever runs "
        "ICON to add its host to ICON_WEBHOOK_HOSTS."
    ),
    "hook_host_unknown": Passing("The webhook's host is not known."),
    "hook_no_tls": Passing("No encrypted connection to the webhook could be made."),
    "hook_no_answer": Passing("The webhook does not answer."),
    "hook_connection_refused": Passing("The webhook refuses the connection."),
    "hook_connection_lost": Passing("The connection to the webhook was lost."),
    "hook_no_http": "What answers there is no webhook.",
    "hook_redirects": "The webhook leads to another address, which ICON does not follow.",
    "hook_busy": Passing("The webhook cannot take it now: it answers with status {status}."),
    "hook_refuses": "The webhook refuses it: it answers with status {status}.",
    "hook_test_sent": "The webhook took the test.",
    "hook_unsigned": "What is posted is signed no more.",
    "notice_unexpected": (
        "Something unexpected went wrong, again and again. "
        "Ask the administrator to look at the worker's log."
    ),
}

# What the check of the catalogue finds.
VIOLATIONS = {
    "file_missing": "Its file is missing.",
    "file_altered": "Its file is not what was catalogued.",
    "file_unreadable": "Its file cannot be read.",
    "path_wrong": "Its path is not the one its lineage gives.",
    "superseded_missing": "The file of a superseded version is missing.",
    "file_unknown": "No row knows this file.",
    "trash_file_missing": "It is in the trash, and its file there is missing.",
    "trash_file_altered": "It is in the trash, and its file there is not what was deleted.",
    "trash_unknown": "It lies in the trash, and is nothing that was deleted.",
    "trash_counts_wrong": "Its counts or size are not those of what is in the trash.",
    "link_unknown": "A link, which is not followed.",
    "folder_unreadable": "This folder cannot be read.",
    "staging_left": "Its staging folder was left without a live run.",
    "staging_unknown": "It lies among the staging folders, and is none.",
    "ledger_wrong": "Its counts are not those of its list of files.",
    "childless": "Nothing is below it.",
    "counts_wrong": "Its counts, size or modalities are not those of what is below it.",
    "identity_wrong": "The name, birth date, sex and issuer that it is listed with are not its.",
    "links_wrong": "What it refers to is here and not noted, or noted and not here.",
    "identity_unused": "No object gives this name, birth date, sex and issuer.",
    "archive_unknown": "No upload lists this ZIP.",
    "mend_violations": (
        "What can be mended without losing anything `manage.py verify_catalogue --repair` mends."
    ),
}

# Of filed objects that are read again, or should be.
REREAD = {
    "read_by_older": (
        "Read by an older version of ICON: {objects}. `manage.py reread` reads them again."
    ),
    "reads_otherwise": (
        "{attribute} is read otherwise now; it stays where it was filed. "
        "To file it anew, delete it and import its ZIP again."
    ),
    "reread_running": "Filed objects are being read again already.",
    "no_such_kind": "ICON knows no such kind of object. Name one of these: {kinds}.",
}

# What is said of what is derived: whether a series is complete.
COMPLETENESS = {
    "series_complete": "{slices}, one behind the other, without gaps and doubles.",
    "gap_between": "Between {after} and {before}, {missing} {verb} missing.",
    "lacks_behind": (
        "Behind {place}, {missing} of those that other stacks of the series have {verb} missing."
    ),
    "lacks_before": (
        "Before {place}, {missing} of those that other stacks of the series have {verb} missing."
    ),
    "double_at": "{slices} lie at the same position ({position} mm).",
    "number_missing": "Instance number {number} is missing.",
    "numbers_missing": "Instance numbers {first} to {last} are missing.",
    "numbers_skipped": (
        "{numbers} not here, but the slices lie without a gap: no image need be missing."
    ),
    "and_more_places": "And {more}.",
    "several_at_each_position": (
        "Several images lie at each position, and nothing that ICON keeps tells them apart."
    ),
    "several_at_some_positions": (
        "Up to {count} images lie at one position, and nothing that ICON keeps tells them apart."
    ),
    "spacing_changes": "The spacing changes: {spacings}.",
    "spacing_uneven": "In places the spacing is uneven, as scanners make it between two parts.",
    "several_orientations": "Images of {count} orientations; each is looked at by itself.",
    "localizers_apart": "{localizers} not counted.",
    "no_slices": "These images are no slices of a volume.",
    "only_localizers": "There are localizers only.",
    "no_positions": "The images do not say where they lie.",
    "too_few_slices": "Too few slices to tell whether one is missing.",
    "no_spacing": "The slices have no even spacing, so that none can be told to be missing.",
    "too_many_slices": "There are too many slices to look at.",
    "nothing_derived_so": "ICON computes nothing of that name. Name one of these: {kinds}.",
    "not_derived_now": (
        "{kind}: what is needed to make them is not to be had just now. What was made is kept; "
        "try again later."
    ),
    "not_derived": "Could not be made: {count}. The log says why.",
    "not_told": "ICON could not tell. Its log says why.",
    "not_looked_at": (
        "ICON has not looked at this series yet. It does so while no upload is processed."
    ),
    "no_incomplete_series": (
        "No series is known to be incomplete. ICON looks at those of CT, MR and PET images while "
        "no upload is processed."
    ),
}

# Why a stack is not shown in three planes.
PLANES = {
    "planes_few": "Three planes need at least {least} slices; here: {slices}.",
    "planes_many": "Three planes are made of at most {most} slices; here: {slices}.",
    "planes_dose": "A dose's own grid is not shown in three planes: it is drawn over the images.",
    "planes_masks": (
        "A segmentation's own masks are not shown in three planes: they are drawn over the images."
    ),
    "planes_other": "Three planes are made of CT, MR and PET images alone.",
    "planes_no_place": "The images do not say where in the patient they lie.",
    "planes_axes": (
        "The rows and columns of the images are not at right angles, or their directions have no "
        "unit length."
    ),
    "planes_sizes": "The slices have several sizes: {least} and {most} pixels.",
    "planes_no_spacing": "The images do not say how large their pixels are.",
    "planes_pixels": "The slices have pixels of several sizes: {least} to {most} mm.",
    "planes_turned": "The slices are turned against each other, by up to {angle}°.",
    "planes_doubles": "{slices} lie at {places}: more than one at the same.",
    "planes_uneven": "The slices are not evenly spaced: {least} to {most} mm.",
    "planes_tilted": (
        "The gantry was tilted by {angle}°: the slices do not lie straight behind each other."
    ),
    "planes_beside": "Some slices lie beside the line of the others, by {beside} mm.",
    "planes_large": "Three planes would take {size} of memory; the limit is {limit}.",
}

# What the programs that read uploaded files go without on this machine.
UNLOCKED = {
    "no_landlock": (
        "This system does not offer Landlock to ICON: a program that reads an uploaded file made "
        "to do harm could be led to open other files of this server."
    ),
    "no_seccomp": (
        "This system does not offer seccomp filters to ICON: a program that reads an uploaded file "
        "made to do harm could be led to reach the network and other programs of this server."
    ),
}

# What the database goes without.
SLOW = {
    "no_trigrams": (
        "Searches read whole tables, since the database lacks the extension pg_trgm. As a "
        "superuser of PostgreSQL say there: CREATE EXTENSION pg_trgm; and then run "
        "manage.py migrate again."
    ),
}

SENTENCES = ARCHIVE | SKIPPED | FAILED | KNOWN | WARNINGS | STORAGE | ENDS
SENTENCES |= REFUSED | DELETING | HELD_UP | HANDED_ON | COMPARED | LOOKING | PICTURES | IDENTITIES
SENTENCES |= LINKS | DOWNLOADS | GATHERED | TELLING | VIOLATIONS | REREAD | COMPLETENESS
SENTENCES |= TRASH | UNLOCKED | SLOW | DOSES | MASKS | CONTOURS | PLANES
PASSING = frozenset(code for code, words in SENTENCES.items() if isinstance(words, Passing))


# Between the words of an attribute's keyword: Study|Instance|UID, ROI|Number.
WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def sentence(code: str, **facts: str | int) -> str:
    """The sentence for a reason code; "" for the empty code.

    `attribute` is a keyword, and is written in words: "Study Instance UID".
    """
    if "attribute" in facts:
        facts["attribute"] = WORDS.sub(" ", str(facts["attribute"]))
    return SENTENCES[code].format(**facts) if code else ""
