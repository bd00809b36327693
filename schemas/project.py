"""Projects: whose data a row is."""

# While no key is defined, everybody is this project.
DEFAULT_PROJECT = "default"
# A name that needs no quotes wherever it is written: 1 to 128 letters, digits, points, hyphens, underscores.
PROJECT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
