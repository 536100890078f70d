#pragma once

// The LibTorch adapter in one include: the curvature of any unmodified torch::nn::Module.
#include <sagitta/libtorch/gram.hpp>
#include <sagitta/libtorch/measure.hpp>
#include <sagitta/libtorch/operators.hpp>
#include <sagitta/libtorch/penalties.hpp>
#include <sagitta/libtorch/rank.hpp>
#include <sagitta/version.hpp>
