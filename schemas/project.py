"""Projects: whose data a row is."""

# Until keys are defined, everybody is this project.
DEFAULT_PROJECT = "default"
