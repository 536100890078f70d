#pragma once

#include "learners/network.hpp"

namespace paper {

Network mlp();
Network cnn();
Network resnet18();

}  // namespace paper
