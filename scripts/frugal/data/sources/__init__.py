"""Sources of data: one file each, with `read(folder, downloads, *, options) -> Arrays`.

folder: the user's data folder (FRUGAL_DATA) or None; downloads: where this data set's files may be put. The
keyword-only arguments are the options that a data set sets in config/datasets.yaml, with their types and defaults.
A source that can use several
cores takes their number, `threads`, after the two folders.
"""
