"""What ICON knows of DICOM and of archives; nothing here imports Django or Celery."""
