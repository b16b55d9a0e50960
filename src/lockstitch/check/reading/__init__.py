"""Readers of files that anybody may have written: text in, frozen values with line numbers out."""
