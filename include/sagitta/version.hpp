#pragma once

// The one place where the version is written; CMakeLists.txt reads it from here.
#define SAGITTA_VERSION_MAJOR 0
#define SAGITTA_VERSION_MINOR 1
#define SAGITTA_VERSION_PATCH 0
#define SAGITTA_VERSION "0.1.0"
