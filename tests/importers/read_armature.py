"""Inside Blender: import a .bvh or .glb and write where its bones stand in every frame.

blender -b --factory-startup --python-exit-code 3 --python read_armature.py -- FILE FRAMES OUT.json [VERTICES_OF]

OUT.json: {"names": […], "heads": [[[x, y, z] per bone] per frame]}, Blender's world; with VERTICES_OF (a frame), also
"vertices" of the mesh in that frame.
"""

import builtins
import json
import pathlib
import sys

import bpy
import numpy

# Debian 12 runs Blender 3.4 on a Python and a NumPy that are newer than its importers: open(…, "rU") and numpy.bool.
plain_open = builtins.open
builtins.open = lambda file, mode="r", *more, **named: plain_open(file, mode.replace("U", ""), *more, **named)
if "bool" not in vars(numpy):
    numpy.bool = bool

path, frames, out, *of_vertices = sys.argv[sys.argv.index("--") + 1 :]
for thing in list(bpy.data.objects):  # the factory's cube, lamp and camera
    bpy.data.objects.remove(thing)
bpy.context.scene.render.fps = 30
if path.endswith(".bvh"):
    bpy.ops.import_anim.bvh(filepath=path)
else:
    bpy.ops.import_scene.gltf(filepath=path)
armature = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")
start = 1 if path.endswith(".bvh") else 0
told = {"names": [bone.name for bone in armature.pose.bones], "heads": []}
for frame in range(int(frames)):
    bpy.context.scene.frame_set(start + frame)
    place = armature.matrix_world
    told["heads"].append([list(place @ bone.head) for bone in armature.pose.bones])
    if of_vertices and frame == int(of_vertices[0]):
        body = next(thing for thing in bpy.data.objects if thing.type == "MESH" and thing.name == "body")
        posed = body.evaluated_get(bpy.context.evaluated_depsgraph_get())
        told["vertices"] = [list(posed.matrix_world @ vertex.co) for vertex in posed.data.vertices]
pathlib.Path(out).write_text(json.dumps(told))
