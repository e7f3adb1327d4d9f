"""Writes zip64.zip in this folder: its directory, and the sizes and offsets in it, are those of Zip64."""

import pathlib
import zipfile

# Beyond these limits zipfile writes Zip64.
zipfile.ZIP64_LIMIT = 1
zipfile.ZIP_FILECOUNT_LIMIT = 0

with zipfile.ZipFile(pathlib.Path(__file__).parent / 'zip64.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
    entry = zipfile.ZipInfo('deep/in/three.txt', (2024, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, 'w', force_zip64=True) as file:
        file.write(b'three\n' * 1000)
