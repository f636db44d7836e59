"""Why somebody does what is kept with the reason for it."""

from typing import Any

from django import forms

from app.reasons import sentence

LONGEST_REASON = 200  # characters


class ReasonForm(forms.Form):
    """The reason alone."""

    reason = forms.CharField(label="Why? This is kept; name no patient.", max_length=LONGEST_REASON)

    def __init__(self, data: Any) -> None:
        super().__init__(data, label_suffix="")
        missing = sentence("reason_missing", limit=LONGEST_REASON)
        errors = self.fields["reason"].error_messages
        errors |= dict.fromkeys(("required", "max_length"), missing)
        self.fields["reason"].widget.attrs |= {"autocomplete": "off", "class": "form-control"}
