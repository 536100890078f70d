#pragma once

#include <c10/util/Exception.h>

#include <sagitta/detail/check.hpp>
#include <string>
#include <string_view>

// What LibTorch throws while we differentiate, in words that help. What a user's forward pass throws is not
// touched.
namespace sagitta::libtorch::detail {

using sagitta::detail::reject;

[[noreturn]] inline void explain(const c10::Error& error, const char* function) {
  const std::string said = error.what_without_backtrace();
  const auto says = [&](std::string_view words) { return said.find(words) != std::string::npos; };
  const auto first_line = std::string_view(said).substr(0, said.find('\n'));
  if (says("backward through the graph a second time"))
    reject(function,
           "the autograd graph of the forward pass was freed, expected one that no backward pass has used up "
           "(retain_graph)");
  if (says("modified by an inplace operation"))
    reject(function,
           "a tensor that the forward pass used has been overwritten since, expected its values to stay as "
           "long as they are differentiated: ",
           first_line);
  if (says("derivative for") || says("differentiate twice") || says("differentiable twice"))
    reject(function, "an operator of the model has no second derivative (", first_line,
           "); expected one that is computed by differentiable operators");
  if (says("can't allocate memory") || says("out of memory"))
    reject(function, "does not fit into memory (", first_line,
           "); take fewer samples or parameters, or a device with more memory");
  reject(function, "LibTorch cannot differentiate this model: ", first_line);
}

// Calls `work`, whose errors of LibTorch become ours.
template <class Work>
auto explained(const char* function, const Work& work) {
  try {
    return work();
  } catch (const c10::Error& error) {
    explain(error, function);
  }
}

}  // namespace sagitta::libtorch::detail
