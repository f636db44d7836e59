"""What ICON knows of DICOM; nothing here imports Django or Celery."""
