"""Where data rests and is asked: the segment format, the lake, the engines, the registry."""
