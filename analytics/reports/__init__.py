"""Results for people and files: wording, tables, CSV, a picture. Each is a pure function of the results' JSON."""
