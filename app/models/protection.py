"""Studies that nobody deletes."""

from django.db import models

from .catalogue import DICOMStudy


class Protection(models.Model):
    """That a study is not deleted, nor anything of it, and why; taken off, the row goes."""

    study = models.OneToOneField(
        DICOMStudy, on_delete=models.PROTECT, primary_key=True, related_name="protection"
    )
    reason = models.CharField(max_length=200)
    said_by = models.CharField(max_length=150)  # as the account was called
    said_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()
        permissions = (("protect_study", "Can protect a study from deletion"),)

    def __str__(self) -> str:
        return f"Protection of study {self.pk}"
