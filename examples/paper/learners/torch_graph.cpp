#include <ATen/core/ivalue.h>  // first: clang 14 needs it before 1.13's other headers

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <map>

#include "learners/torch_graph.hpp"

// Compiled where LibTorch has CUDA; elsewhere a test checks its syntax.
namespace paper {

namespace {

constexpr int steps_before_recording = 3;  // in which libraries choose algorithms and make their workspaces

class CudaStepGraphs : public StepGraphs {
 public:
  explicit CudaStepGraphs(const c10::Device& device)
      : device_(device), stream_(c10::cuda::getStreamFromPool(false, device.index())) {}

  void epoch(const std::function<void()>& body) override {
    const c10::cuda::CUDAGuard on_device(device_);
    c10::cuda::device_synchronize();
    {
      const c10::cuda::CUDAStreamGuard on_stream(stream_);
      body();
    }
    c10::cuda::device_synchronize();
  }

  void step(int64_t kind, const std::function<void()>& work) override {
    Kind& known = kinds_[kind];
    if (!known.graph && known.steps++ < steps_before_recording) {
      work();
      return;
    }
    if (!known.graph) {
      known.graph = std::make_unique<at::cuda::CUDAGraph>();
      known.graph->capture_begin();
      work();
      known.graph->capture_end();
    }
    known.graph->replay();
  }

  void clear() override { kinds_.clear(); }

 private:
  struct Kind {
    int steps = 0;
    std::unique_ptr<at::cuda::CUDAGraph> graph;
  };

  c10::Device device_;
  c10::cuda::CUDAStream stream_;
  std::map<int64_t, Kind> kinds_;
};

}  // namespace

std::unique_ptr<StepGraphs> make_step_graphs(const c10::Device& device) {
  if (!device.is_cuda()) return nullptr;
  const c10::Device one(device.type(), device.has_index() ? device.index() : c10::cuda::current_device());
  return std::make_unique<CudaStepGraphs>(one);
}

}  // namespace paper
