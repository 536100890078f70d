#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace paper {

// Steps of training that a GPU repeats as a whole. The first steps of a kind run as they are, on a stream of
// their own; then one is recorded as a CUDA graph, which is replayed from there on. A step must not wait for
// the device, and must find its inputs in the same tensors every time.
class StepGraphs {
 public:
  virtual ~StepGraphs() = default;
  // body calls step(); before and after it the device is waited for
  virtual void epoch(const std::function<void()>& body) = 0;
  virtual void step(int64_t kind, const std::function<void()>& work) = 0;
  virtual void clear() = 0;  // after tensors have moved
};

#ifdef SAGITTA_PAPER_CUDA
std::unique_ptr<StepGraphs> make_step_graphs(const c10::Device& device);
#else
inline std::unique_ptr<StepGraphs> make_step_graphs(const c10::Device&) { return nullptr; }
#endif

}  // namespace paper
