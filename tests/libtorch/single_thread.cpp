#include <ATen/Parallel.h>

// CTest runs the cases side by side, and tensors as small as theirs gain nothing from threads that wait
// busily.
[[maybe_unused]] static const bool single_thread = [] {
  at::set_num_threads(1);
  return true;
}();
