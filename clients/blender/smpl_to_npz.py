"""An SMPL .pkl as the .npz that the add-on reads: python clients/blender/smpl_to_npz.py SMPL_NEUTRAL.pkl smpl.npz

Run it in hmmr-live's environment, from the checkout: the pickle is read by its reader, which lets it run nothing.
"""

import sys
from pathlib import Path

import numpy as np

from realtime.body.smpl import load_body
from realtime.errors import HmmrLiveError


def main() -> int:
    if len(sys.argv) != 3 or Path(sys.argv[2]).suffix != ".npz":
        print("usage: smpl_to_npz.py BODY.pkl NEW.npz", file=sys.stderr)
        return 2
    target = Path(sys.argv[2])
    try:
        body = load_body(sys.argv[1])
        with target.open("xb") as file:
            np.savez_compressed(
                file,
                id=body.id,  # that of the .pkl: the stream's shape is for this body, whichever file it is read from
                licence=body.licence,
                v_template=body.v_template,
                shapedirs=body.shapedirs,
                J_regressor=body.J_regressor,
                weights=body.weights,
                kintree_table=np.stack([body.parents, np.arange(24)]).astype(np.int32),
                f=body.faces,
            )
    except HmmrLiveError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except FileExistsError:
        print(f"{target}: exists and is not overwritten; give another name", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{target}: cannot be written ({error.strerror}); give another name", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
