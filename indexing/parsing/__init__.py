"""From a file to the blocks of its text; the only place that knows unstructured."""

from indexing.parsing.parse import parse_file
from indexing.parsing.pool import ParserPool

__all__ = ["ParserPool", "parse_file"]
