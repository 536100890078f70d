#include <sagitta/version.hpp>

#include "bindings.hpp"

NB_MODULE(SAGITTA_MODULE, m) {
  m.doc() = "The core behind pysagitta, for its own use: arguments are checked in Python.";
  m.attr("__version__") = SAGITTA_VERSION;
  pysagitta::bind_ranks(m);
  pysagitta::bind_penalties(m);
  pysagitta::bind_operators(m);
}
