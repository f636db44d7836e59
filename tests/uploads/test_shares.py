"""The runs on one host share out its extractors."""

from app.storage.staging import Staging
from app.uploads import shares
from app.uploads.shares import Share


def test_a_run_has_less_when_another_begins_and_more_when_it_is_alone_for_a_while(
    processed_root, settings, monkeypatch
):
    settings.ICON_EXTRACTORS = 4
    with Staging(processed_root, 1, "a") as first:
        first.show_life()
        share = Share()
        assert share.extractors == 4
        with Staging(processed_root, 2, "b") as second:
            second.show_life()
            assert (share.look(), Share().extractors) == (2, 2)
        assert share.look() == 2  # the next may begin
        monkeypatch.setattr(shares, "LASTS", 0)
        assert share.look() == 4


def test_every_run_has_an_extractor(processed_root, settings):
    settings.ICON_EXTRACTORS = 1
    with Staging(processed_root, 1, "a") as first, Staging(processed_root, 1, "b") as second:
        first.show_life()
        second.show_life()
        assert Share().extractors == 1
