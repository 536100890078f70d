"""python -m pysagitta.torch: compiles the adapter where it is not in the cache, and says where it is."""
from ._build import built

print(built())
