"""Who is told when an upload is done, and the messages about it."""

from django.conf import settings
from django.db import models

from .uploads import DICOMFile


class TellWhen(models.TextChoices):
    ALWAYS = "always", "Each of my uploads"
    ATTENTION = "attention", "Those of my uploads that need attention"
    ASKED = "asked", "Only uploads of which I ask for it"


class Way(models.TextChoices):
    EMAIL = "email", "by e-mail"
    WEBHOOK = "webhook", "by webhook"


class NoticeState(models.TextChoices):
    TO_SEND = "to_send", "to be sent"
    SENT = "sent", "sent"
    FAILED = "failed", "not sent"


class TellMe(models.Model):
    """How somebody is told when an upload is done."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="tell_me"
    )
    when = models.CharField(max_length=16, choices=TellWhen, default=TellWhen.ALWAYS)
    by_email = models.BooleanField(default=False)  # to the account's own address
    webhook_url = models.CharField(max_length=500, blank=True)
    webhook_secret = models.CharField(max_length=64, blank=True)  # signs what is posted
    # Where this person reached ICON, for links where no setting says where it is.
    icon_url = models.CharField(max_length=300, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"How user {self.pk} is told"

    @property
    def ways(self) -> list[Way]:
        wanted = {Way.EMAIL: self.by_email, Way.WEBHOOK: bool(self.webhook_url)}
        return [way for way, is_wanted in wanted.items() if is_wanted]


class AskedToTell(models.Model):
    """That somebody is told of one upload, whatever else was chosen; told, the row goes."""

    upload = models.ForeignKey(
        DICOMFile, on_delete=models.CASCADE, related_name="asked_to_tell", db_index=False
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("upload", "user"), name="asked_to_tell_once"),
        )

    def __str__(self) -> str:
        return f"Asked to tell {self.pk}"


class Notice(models.Model):
    """A message to one person that an upload has ended: to be sent, sent, or not sent and why."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    upload = models.BigIntegerField()  # its number; it may be deleted before this is sent
    way = models.CharField(max_length=16, choices=Way)
    facts = models.JSONField()  # how it ended, as it was then
    made_at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=16, choices=NoticeState, default=NoticeState.TO_SEND)
    due_at = models.DateTimeField()  # when it is to be tried, where it is still to be sent
    tries = models.PositiveSmallIntegerField(default=0)
    done_at = models.DateTimeField(null=True, blank=True)  # sent, or given up
    reason = models.CharField(max_length=32, blank=True)  # why it was not sent: a code
    detail = models.CharField(max_length=300, blank=True)  # its sentence

    class Meta:
        default_permissions = ()
        indexes = (models.Index(fields=("state", "due_at"), name="notice_state_due"),)

    def __str__(self) -> str:
        return f"Notice {self.pk}"
