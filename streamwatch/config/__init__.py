"""Typed settings: pydantic models (the only source of defaults), the YAML loader with line numbers, JSON Schema."""
