"""The disk, and the object store that machines share: own formats, without models or music."""
