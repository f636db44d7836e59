"""What people put together: selections that they come back to, and IDs of one person."""

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import F, Q

from .catalogue import DICOMSeries, DICOMStudy, Patient

# What can be put into a collection, by the field that leads to it.
COLLECTED: dict[str, type[models.Model]] = {
    "patient": Patient,
    "study": DICOMStudy,
    "series": DICOMSeries,
}
ONE_OF_THEM = (
    Q(patient__isnull=False, study__isnull=True, series__isnull=True)
    | Q(patient__isnull=True, study__isnull=False, series__isnull=True)
    | Q(patient__isnull=True, study__isnull=True, series__isnull=False)
)


class CollectionQuerySet(models.QuerySet["Collection"]):
    def seen_by(self, person: AbstractBaseUser | AnonymousUser) -> Self:
        """One's own, and what others share."""
        return self.filter(Q(owner=person.pk) | Q(is_shared=True))


class Collection(models.Model):
    """A selection of patients, studies and series under a name."""

    name = models.CharField(max_length=200)
    note = models.TextField(max_length=2_000, blank=True, default="", db_default="")
    is_shared = models.BooleanField("shared with all staff", default=False, db_default=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    # As the account was called, which stays when it is deleted.
    owner_name = models.CharField(max_length=150, blank=True, default="", db_default="")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = CollectionQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        permissions = (("keep_collections", "Can keep collections"),)

    def __str__(self) -> str:
        return f"Collection {self.pk}"

    def may_be_changed_by(self, person: AbstractBaseUser | AnonymousUser) -> bool:
        """Its owner; a shared one that is nobody's any more, also a superuser."""
        if self.owner_id is None:
            return bool(getattr(person, "is_superuser", False))
        return self.owner_id == person.pk


class CollectionEntry(models.Model):
    """A patient, a study or a series in a collection."""

    collection = models.ForeignKey(
        Collection, on_delete=models.CASCADE, related_name="entries", db_index=False
    )
    patient = models.ForeignKey(
        Patient, on_delete=models.CASCADE, null=True, related_name="collected"
    )
    study = models.ForeignKey(
        DICOMStudy, on_delete=models.CASCADE, null=True, related_name="collected"
    )
    series = models.ForeignKey(
        DICOMSeries, on_delete=models.CASCADE, null=True, related_name="collected"
    )
    added_at = models.DateTimeField(auto_now_add=True)
    added_by = models.CharField(max_length=150, blank=True, default="", db_default="")

    class Meta:
        default_permissions = ()
        constraints = (
            models.CheckConstraint(condition=ONE_OF_THEM, name="collected_one_of_them"),
            *(
                models.UniqueConstraint(
                    fields=("collection", field),
                    condition=Q(**{f"{field}__isnull": False}),
                    name=f"collected_{field}_once",
                )
                for field in COLLECTED
            ),
        )

    def __str__(self) -> str:
        return f"Entry {self.pk} of a collection"

    @property
    def kind(self) -> str:
        return next(field for field in COLLECTED if getattr(self, f"{field}_id"))


class SamePerson(models.Model):
    """Two Patient IDs of one person, as somebody said; nothing of either is moved."""

    # The lower key first, so that a pair stands once.
    first = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="+", db_index=False)
    second = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="+")
    reason = models.CharField(max_length=200)
    said_by = models.CharField(max_length=150)  # as the account was called
    said_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()
        permissions = (("link_patients", "Can say that two IDs are the same person"),)
        constraints = (
            models.UniqueConstraint(fields=("first", "second"), name="same_person_once"),
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="same_person_in_order"),
        )

    def __str__(self) -> str:
        return f"Same person {self.pk}"
