"""Every stage of the pipeline, one file each, named as the stage."""
