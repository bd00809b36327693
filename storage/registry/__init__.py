"""The registry: projects' configs, prompts and prompt tests, versioned; import from its modules."""
