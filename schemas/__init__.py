"""What the data looks like: Arrow schemas, attribute dialects, the models of the HTTP API. Imports nothing of ours."""
