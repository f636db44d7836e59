"""The form that takes an upload."""

from typing import IO, Any, cast

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from app.archives import directory
from app.errors import ArchiveRefused
from app.models import DICOMFile
from app.reasons import sentence
from app.wording import human_size

from .receiving import too_large

LONGEST_NAME = 255  # Django cuts a longer one, and keeps its ending


class DICOMFileForm(forms.ModelForm):  # type: ignore[type-arg]
    """Takes a ZIP, or says why not. The checks are cheap; nothing is unpacked."""

    process = forms.BooleanField(
        label="Process as soon as each is uploaded", required=False, initial=True
    )

    class Meta:
        model = DICOMFile
        fields = ("file",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "file" in self.fields:  # not in the admin's view of an existing upload
            # The column's limit is for the random name that it is kept under.
            cast(forms.FileField, self.fields["file"]).max_length = LONGEST_NAME
            self.fields["file"].widget = forms.FileInput(attrs={"accept": ".zip,application/zip"})
            self.fields["file"].error_messages["required"] = sentence("choose_first")
            self.fields["file"].help_text = (
                f"A ZIP of DICOM files, up to {human_size(settings.ICON_MAX_UPLOAD)}, without a "
                "password. It may hold folders and other files, too; those are skipped."
            )

    def clean_file(self) -> "UploadedFile[bytes]":
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        size = file.size or 0
        if size > settings.ICON_MAX_UPLOAD:
            raise forms.ValidationError(f"This file is {human_size(size)}. {too_large()}")
        try:
            directory.looks_like_zip(cast(IO[bytes], file.file))
        except ArchiveRefused as refused:
            raise forms.ValidationError(refused.sentence) from refused
        file.seek(0)
        return file

    def save(self, commit: bool = True) -> DICOMFile:
        file = self.cleaned_data["file"]
        self.instance.original_name = str(file.name)[:LONGEST_NAME]
        self.instance.size = file.size
        upload: DICOMFile = super().save(commit)
        return upload
