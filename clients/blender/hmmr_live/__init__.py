"""hmmr-live in Blender: a person before a webcam moves an armature and its mesh, live; record it as an Action.

Needs NumPy (Blender brings it) and pyzmq (clients/blender/README.md). Nothing of the hmmr-live program itself is
imported: this folder is installed in Blender's own Python.
"""

bl_info = {
    "name": "hmmr-live",
    "author": "hmmr-live contributors",
    "version": (0, 1, 0),
    "blender": (3, 4, 0),
    "location": "3D View > Sidebar > hmmr-live",
    "description": "A live SMPL body from a webcam; records it as an Action",
    "doc_url": "",
    "category": "Animation",
}


def register():
    from . import addon  # here, so that the parts without Blender in them can be imported anywhere

    addon.register()


def unregister():
    from . import addon

    addon.unregister()
