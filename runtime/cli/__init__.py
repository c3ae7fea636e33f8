"""What users type: commands, their options, and what they print."""
