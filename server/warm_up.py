"""Compiles all that is compiled, once after an installation: ``python -m server.warm_up``."""

from analytics.experiments.compiled.warm_up import warm_up as warm_up_results
from collector.warm_up import warm_up as warm_up_decoder

if __name__ == "__main__":
    warm_up_decoder()
    warm_up_results()
