from ptychoflow.errors import InputError as InputError
from ptychoflow.interface.image import Image as Image
from ptychoflow.interface.image import load as load
from ptychoflow.interface.reconstructing import reconstruct as reconstruct
from ptychoflow.interface.reconstructing import solve as solve
from ptychoflow.interface.scan import Scan as Scan
from ptychoflow.interface.scan import read as read
from ptychoflow.interface.scan import simulate as simulate
from ptychoflow.interface.training import train as train
from ptychoflow.interface.training import tune as tune

__version__: str
