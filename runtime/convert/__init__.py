"""Written masks in the formats of other tools."""
