// As common.hpp, with what the sources of src/serve read beside it.
#include "common.hpp"
#include "pganalytics/serve/asio.hpp"
